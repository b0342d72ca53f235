"""Operators see and steer the upstreams of a model: over HTTP, on the command line, and in what everybody is told."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx2
import openai
import pytest

from openai_proxy import keys
from tests.conftest import Serve, servers
from tests.running import ROOT, Running, environment
from tests.upstream import Upstream, threaded

SAID: Any = [{"role": "user", "content": "Hello"}]
KINDS = ("a", "gpu.2:80")
CONFIG = """
default_model = "org/pool"
[server]
grace = 0.0
drain = 1.0
[models."org/pool"]
backend = "remote"
aliases = ["pool"]
upstreams = [
    {{ url = "{a}", name = "a", weight = 2, slots = 5 }},
    {{ url = "{b}", name = "gpu.2:80" }},
]
options = {{ probe_every = 0.2, slow_start = 0, circuit_failures = 50 }}
[models.echo]
backend = "echo"
"""


@pytest.fixture
def pair() -> Iterator[tuple[Upstream, Upstream]]:
    with threaded(models=("*",), name="a") as a, threaded(models=("*",), name="b") as b:
        yield a, b


@pytest.fixture
def server(pair: tuple[Upstream, Upstream], serve: Serve) -> Running:
    return serve(CONFIG.format(a=pair[0].url, b=pair[1].url))


def command(server: Running, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "openai_proxy", "models", *arguments, "--base-url", server.base_url],
        cwd=ROOT,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def get(server: Running, path: str) -> Any:
    answer = httpx2.get(server.url + path)
    return answer.json()


def upstreams(server: Running, model: str = "org/pool") -> dict[str, Any]:
    body = get(server, f"/admin/models/{model}/upstreams")
    assert body["id"] == "org/pool"
    return {each["name"]: each for each in body["upstreams"]}


def steer(server: Running, name: str, order: str, model: str = "org/pool") -> httpx2.Response:
    return httpx2.post(f"{server.url}/admin/models/{model}/upstreams/{quote(name, safe='')}/{order}")


def until(condition: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def chat(server: Running, **more: Any) -> Any:
    with server.client() as client:
        return client.chat.completions.create(model="pool", messages=SAID, **more)


def note(server: Running) -> tuple[str, str]:
    [model] = [each for each in get(server, "/readyz")["models"] if each["id"] == "org/pool"]
    return model["state"], model["note"]


def test_what_is_told_of_upstreams(server: Running) -> None:
    chat(server)
    told = upstreams(server, "pool")
    assert list(told) == list(KINDS)
    assert (told["a"]["weight"], told["a"]["slots"], told["gpu.2:80"]["slots"]) == (2, 5, None)
    assert {(each["state"], each["outstanding"], each["why"]) for each in told.values()} == {("up", 0, "")}
    assert all(0 <= each["since"] < 60 for each in told.values())
    assert 0 < told["a"]["first_byte"] < 5
    assert told["gpu.2:80"]["first_byte"] is None
    [everything] = get(server, "/admin/upstreams")["models"]
    assert (everything["id"], [each["name"] for each in everything["upstreams"]]) == ("org/pool", list(KINDS))


def test_a_drained_upstream_finishes_what_runs_and_gets_no_more(
    server: Running, pair: tuple[Upstream, Upstream]
) -> None:
    a, b = pair
    b.script(fault=None)
    a.script(chunks=60, delay=0.05)
    with server.client() as client:
        chunks = client.chat.completions.create(model="pool", messages=SAID, stream=True)
        next(iter(chunks))
        answer = steer(server, "a", "drain")
        assert answer.status_code == 202
        assert (answer.json()["state"], answer.json()["outstanding"]) == ("draining", 1)
        before = a.seen().requests
        for _ in range(6):
            chat(server)
        assert note(server) == ("ready", "1 of 2 upstreams")
        assert list(chunks)[-1].choices[0].finish_reason == "stop"
    assert sum(path == "/v1/chat/completions" for path in (each.path for each in a.seen().last)) == 1
    assert a.seen().requests >= before
    until(lambda: upstreams(server)["a"]["state"] == "drained")
    assert steer(server, "a", "drain").status_code == 200
    a.script(chunks=2, delay=0.0)
    assert steer(server, "a", "undrain").json()["state"] == "up"
    assert note(server) == ("ready", "")
    for _ in range(4):
        chat(server)
    assert sum(each.path == "/v1/chat/completions" for each in a.seen().last) > 1


def test_it_stays_drained_through_failures(server: Running, pair: tuple[Upstream, Upstream]) -> None:
    name = "gpu.2:80"
    assert steer(server, name, "drain").status_code == 200
    pair[1].script(down=60)
    until(lambda: f"upstream {name} is down" in server.output())
    pair[1].script(down=0)
    until(lambda: f"upstream {name} is up" in server.output())
    assert upstreams(server)[name]["state"] == "drained"
    chat(server)
    assert "/v1/chat/completions" not in pair[1].seen().paths


def test_all_drained_is_not_ready(server: Running) -> None:
    for name in KINDS:
        steer(server, name, "drain")
    assert note(server) == ("restarting", "of 2 upstreams 2 drained and 0 down")
    assert server.status("/readyz") == 503
    with pytest.raises(openai.InternalServerError) as refused:
        chat(server)
    assert (refused.value.status_code, refused.value.code) == (503, "engine_unavailable")
    steer(server, "a", "undrain")
    assert server.status("/readyz") == 200


@pytest.mark.parametrize(
    ("model", "name", "says"),
    [
        ("org/pool", "gpu", "no upstream is called 'gpu'"),
        ("org/pool", "gpu.2:8", "did you mean 'gpu.2:80'?"),
        ("nothing", "a", "'nothing' does not exist"),
        ("echo", "a", "has no upstreams"),
    ],
)
def test_what_there_is_not(server: Running, model: str, name: str, says: str) -> None:
    for order in ("drain", "undrain"):
        answer = steer(server, name, order, model)
        assert answer.status_code == 404
        assert says in answer.json()["error"]["message"]
    assert httpx2.get(f"{server.url}/admin/models/echo/upstreams").status_code == 404
    assert httpx2.get(f"{server.url}/admin/models/org/pool/upstreams/a/drain").status_code == 405


def test_only_admins_may(pair: tuple[Upstream, Upstream], serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    plain, line = keys.new("alice")
    admin, another = keys.new("ops", "admin,user")
    file.write_text(f"{line}\n{another}\n")
    server = serve(f'auth.key_file = "{file}"\n' + CONFIG.format(a=pair[0].url, b=pair[1].url), path="/livez")
    for method, path in (
        ("GET", "/admin/upstreams"),
        ("GET", "/admin/models/pool/upstreams"),
        ("POST", "/admin/models/pool/upstreams/a/drain"),
        ("POST", "/admin/models/pool/upstreams/a/undrain"),
    ):
        statuses = [
            httpx2.request(method, server.url + path, headers={"authorization": f"Bearer {key}"}).status_code
            for key in ("wrong", plain, admin)
        ]
        assert statuses == [401, 403, 200]


def test_everybody_is_told_when_upstreams_go_and_come(server: Running, pair: tuple[Upstream, Upstream]) -> None:
    told: list[tuple[str, str]] = []

    def listen() -> None:
        with httpx2.stream("GET", f"{server.url}/events", timeout=30) as stream:
            for line in stream.iter_lines():
                if line.startswith("data:"):
                    event = json.loads(line[5:])
                    if event["id"] == "org/pool":
                        told.append((event["state"], event["note"]))

    threading.Thread(target=listen, daemon=True).start()
    until(lambda: told == [("ready", "")])
    pair[1].script(down=60)
    until(lambda: told[-1] == ("ready", "1 of 2 upstreams"))
    assert upstreams(server)["gpu.2:80"]["state"] == "down"
    pair[0].script(down=60)
    until(lambda: told[-1] == ("restarting", "none of 2 upstreams can be reached"))
    assert server.status("/readyz") == 503
    with pytest.raises(openai.InternalServerError) as refused:
        chat(server)
    assert refused.value.status_code == 503
    pair[0].script(down=0)
    until(lambda: told[-1] == ("ready", "1 of 2 upstreams"))
    chat(server)
    metrics = httpx2.get(f"{server.url}/metrics").text
    assert 'openai_proxy_engine_restarts_total{model="org/pool"} 0.0' in metrics
    log = server.output()
    assert "model org/pool cannot answer: none of 2 upstreams" in log
    assert "model org/pool is ready again" in log
    assert "model org/pool: upstream gpu.2:80 is down" in log


def test_drained_is_not_kept_over_a_restart(pair: tuple[Upstream, Upstream], tmp_path: Path) -> None:
    config = CONFIG.format(a=pair[0].url, b=pair[1].url)
    with servers(tmp_path) as start:
        first = start(config)
        steer(first, "a", "drain")
        first.stop()
        assert upstreams(start(config))["a"]["state"] == "up"


def test_the_command_lists_drains_and_undrains(server: Running, pair: tuple[Upstream, Upstream]) -> None:
    listed = command(server, "upstreams")
    rows = [line.split("\t") for line in listed.stdout.splitlines()]
    assert [(row[0], row[1], row[3], row[4]) for row in rows] == [
        ("org/pool", "a", "0/5", "2"),
        ("org/pool", "gpu.2:80", "0", "1"),
    ]
    assert all(row[2].startswith("up") for row in rows)
    body = json.loads(command(server, "upstreams", "pool", "--json").stdout)
    assert [each["name"] for each in body["models"][0]["upstreams"]] == list(KINDS)
    assert command(server, "drain", "pool", "gpu.2:80").stdout == "gpu.2:80  drained  drained by its operator\n"
    assert upstreams(server)["gpu.2:80"]["state"] == "drained"
    undrained = command(server, "undrain", "org/pool", "gpu.2:80", "--json")
    assert json.loads(undrained.stdout)["state"] == "up"


def test_the_command_waits_for_what_runs(server: Running, pair: tuple[Upstream, Upstream]) -> None:
    pair[0].script(chunks=40, delay=0.05)
    with server.client() as client:
        chunks = client.chat.completions.create(model="pool", messages=SAID, stream=True)
        next(iter(chunks))
        threading.Thread(target=lambda: list(chunks), daemon=True).start()
        done = command(server, "drain", "pool", "a")
    assert done.returncode == 0
    assert done.stdout == "a  drained  drained by its operator\n"
    assert done.stderr.startswith("a  draining  1 running")
    assert upstreams(server)["a"]["outstanding"] == 0


def test_the_command_follows(server: Running) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "openai_proxy", "models", "upstreams", "pool", "--watch", "--base-url", server.base_url],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as watching:
        assert watching.stdout is not None
        assert [watching.stdout.readline() for _ in KINDS] == ["org/pool  a  up\n", "org/pool  gpu.2:80  up\n"]
        steer(server, "a", "drain")
        assert watching.stdout.readline() == "org/pool  a  drained  drained by its operator\n"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("drain", "pool"), 2, "drain needs the name of an UPSTREAM of pool"),
        (("drain",), 2, "drain needs the NAME of a model"),
        (("load", "pool", "a"), 2, "load takes no UPSTREAM"),
        (("drain", "pool", "a", "--watch"), 2, "--watch follows models or upstreams"),
        (("drain", "pool", "z"), 1, "no upstream is called 'z'"),
        (("upstreams", "echo"), 1, "has no upstreams"),
    ],
)
def test_the_command_says_what_is_wrong(server: Running, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = command(server, *arguments)
    assert done.returncode == code
    assert says in done.stderr


TWO = """
[server]
grace = 0.0
[models.one]
backend = "remote"
upstreams = [{{ url = "{a}" }}]
options = {{ probe_every = 0.2 }}
[models.two]
backend = "remote"
upstreams = [{{ url = "{b}" }}]
options = {{ probe_every = 0.2 }}
"""


def gone(server: Running, model: str) -> bool:
    states = {each["id"]: each["state"] for each in get(server, "/readyz")["models"]}
    return bool(states[model] == "restarting")


def test_a_model_whose_servers_are_gone_does_not_make_the_others_unready(
    serve: Serve, pair: tuple[Upstream, Upstream]
) -> None:
    server = serve(TWO.format(a=pair[0].url, b=pair[1].url))
    pair[0].script(down=60)
    until(lambda: gone(server, "one"))
    assert server.status("/readyz") == 200
    pair[1].script(down=60)
    until(lambda: gone(server, "two"))
    assert server.status("/readyz") == 503
    pair[0].script(down=0)
    until(lambda: not gone(server, "one"))
    assert server.status("/readyz") == 200


def test_the_default_model_has_to_answer_wherever_it_is(serve: Serve, pair: tuple[Upstream, Upstream]) -> None:
    config = TWO.format(a=pair[0].url, b=pair[1].url)
    server = serve('default_model = "one"\n' + config)
    pair[0].script(down=60)
    until(lambda: gone(server, "one"))
    assert server.status("/readyz") == 503
