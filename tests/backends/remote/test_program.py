"""A program that the server runs itself: started, asked, started again, ended with the server however that ends."""

from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from backends import Setup, lacking
from backends.remote import Program
from tests.backends.remote.asking import SAID, happens
from tests.conftest import Serve, servers
from tests.running import Running

COMMAND = [sys.executable, "-m", "openai_proxy", "fake-upstream", "--model", "theirs", "--port", "{port}"]


def table(name: str, command: list[str], *more: str) -> str:
    """A model of that backend."""
    lines = [f"[models.{name}]", 'backend = "program"', f"[models.{name}.options]", f"command = {json.dumps(command)}"]
    return "\n".join([*lines, *more, ""])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    more = ('model = "theirs"', 'environment = { FAKE_TEXT = "from a child" }')
    command = ["/bin/sh", "-c", " ".join([*COMMAND, '--text "$FAKE_TEXT"'])]
    with servers(tmp_path_factory.mktemp("program")) as start:
        yield start("[server]\ngrace = 0.0\n" + table("ours", command, *more))


def programs(server: Running) -> list[int]:
    """The processes in which its fake upstreams run, all of whose names have its port in them."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdecimal() else []
            if b"fake-upstream" in words and below(int(entry.name), server.pid):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        if pid == ancestor:
            return True
    return False


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def state(server: Running, name: str = "ours") -> Any:
    with urllib.request.urlopen(f"{server.url}/v1/models/{name}") as answer:
        return json.load(answer)["state"]


def said(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(model="ours", messages=SAID).choices[0].message.content


def order(server: Running, verb: str) -> None:
    request = urllib.request.Request(f"{server.url}/admin/models/ours/{verb}", b"", method="POST")
    urllib.request.urlopen(request, timeout=60).close()


def test_it_answers_and_draws(server: Running) -> None:
    with server.client() as client:
        assert said(client) == "from a child"
        drawn = client.images.generate(model="ours", prompt="a", n=2)
    assert len(drawn.data or ()) == 2


def test_it_is_started_again_after_a_death(server: Running) -> None:
    [pid] = programs(server)
    os.kill(pid, signal.SIGKILL)
    happens(lambda: state(server) == "restarting", 10)
    with server.client() as client, pytest.raises(openai.InternalServerError) as caught:
        said(client)
    assert (caught.value.status_code, caught.value.code) == (503, "engine_unavailable")
    happens(lambda: state(server) == "ready", 60)
    assert programs(server) != [pid]
    with server.client() as client:
        happens(lambda: answered(client), 10)


def answered(client: openai.OpenAI) -> bool:
    """A pause that its failures got it may still last."""
    try:
        return bool(said(client) == "from a child")
    except openai.InternalServerError:
        return False


def test_it_ends_when_it_is_unloaded_and_comes_back(server: Running) -> None:
    [pid] = programs(server)
    order(server, "unload")
    assert gone(pid)
    order(server, "load")
    assert state(server) == "ready"


def test_it_ends_with_a_server_that_is_killed(server: Running) -> None:
    """The last one that asks this server."""
    [pid] = programs(server)
    server.stop(signal.SIGKILL)
    happens(lambda: gone(pid), 20)


def test_programs_that_do_not_answer(serve: Serve) -> None:
    ends = table("ends", [sys.executable, "-c", "pass"])
    waits = table("waits", [sys.executable, "-c", "input()"], "start_timeout = 0.5")
    hangs = table("hangs", ["/bin/sleep", "60"], "start_timeout = 0.5")
    server = serve(ends + waits + hangs, path="")
    happens(lambda: {state(server, name) for name in ("ends", "waits", "hangs")} == {"failed"}, 60)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "command is missing"),
        ({"command": []}, "command must be a list of texts, at least one"),
        ({"command": ["x"], "start_timeout": 0}, "start_timeout must be a number above 0"),
        ({"command": ["x"], "stratgey": "least"}, "did you mean 'strategy'"),
    ],
)
def test_settings_that_are_wrong(options: Any, says: str) -> None:
    with pytest.raises(ValueError, match="model m") as caught:
        Program(Setup(name="m", options=options))
    assert says in str(caught.value)


def test_upstreams_are_not_its_own_and_a_program_that_is_absent_is_told() -> None:
    with pytest.raises(ValueError, match="no setting 'upstreams'"):
        Program(Setup(name="m", options={"command": ["x"]}, upstreams=[{"url": "http://localhost"}]))
    [lack] = lacking("program", Setup(name="m", options={"command": ["no-such-program"]}))
    assert "no-such-program" in lack.problem
