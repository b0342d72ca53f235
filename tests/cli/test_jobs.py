"""`openai-proxy jobs` against a real server: lists, live views, orders, and how each ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from openai_proxy import keys
from openai_proxy.cli import ask, following
from tests.cli.imitation import imitation
from tests.cli.terminal import CTRL_C, command, here, run, terminal
from tests.conftest import Serve, servers
from tests.jobs.counter import CONFIG, Counter
from tests.running import ROOT, Running, environment

LONG = " ".join(["word"] * 300)
NOWHERE = "00000000-0000-0000-0000-000000000000"


class Desk:
    """A server with jobs, and the command line in front of it."""

    def __init__(self, server: Running) -> None:
        self.env: dict[str, Any] = {"OPENAI_BASE_URL": server.base_url}
        self.hand_in = Counter(server.log.parent / "jobs").hand_in

    def jobs(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return here("jobs", *arguments, **self.env)

    def done(self, text: str = "one two three", **fields: Any) -> str:
        """A job that has ended."""
        id = self.hand_in(text, **fields)
        assert self.jobs("follow", id).returncode == 0
        return id


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with servers(tmp_path_factory.mktemp("desk")) as start:
        yield Desk(start(CONFIG))


def test_jobs_are_listed(desk: Desk) -> None:
    ids = [desk.hand_in(owner="ann", origin="aime"), desk.hand_in(owner="ann", origin="infernet")]
    assert desk.jobs("follow", ids[1]).returncode == 0
    done = desk.jobs("list", "--owner", "ann")
    assert (done.returncode, done.stderr) == (0, "")
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[:6] for row in rows] == [
        [ids[1], "succeeded", "echo", "chat", "ann", "infernet"],
        [ids[0], "succeeded", "echo", "chat", "ann", "aime"],
    ]
    assert desk.jobs("list", "--owner", "ann", "--origin", "aime").stdout.startswith(ids[0])
    assert desk.jobs("list", "--owner", "ann", "--limit", "1").stdout.count("\n") == 1
    assert desk.jobs("list", "--owner", "ann", "--state", "queued,failed").stdout == ""
    assert desk.jobs("list", "--model", "other").stdout == ""
    told = json.loads(desk.jobs("list", "--owner", "ann", "--limit", "1", "--json").stdout)
    assert [job["id"] for job in told["jobs"]] == [ids[1]]
    assert told["next"]


def test_a_long_list_takes_several_pages() -> None:
    entry = {"id": "a", "state": "queued"}
    with imitation() as server:
        server.pages = {
            "/admin/jobs?limit=100": {"jobs": [entry] * 100, "next": 7},
            "/admin/jobs?limit=20&before=7": {"jobs": [entry] * 20, "next": 3},
        }
        done = here("jobs", "list", "--limit", "120", "--base-url", server.base_url)
    assert (done.returncode, done.stdout.count("\n")) == (0, 120)


def test_a_job_is_shown_with_all_that_is_known_of_it(desk: Desk) -> None:
    id = desk.done("alpha\x1b[31mbeta", owner="bea")
    done = desk.jobs("show", id)
    facts = dict(line.split("\t") for line in done.stdout.partition("\n\n")[0].splitlines())
    assert (facts["id"], facts["state"], facts["model"], facts["owner"]) == (id, "succeeded", "echo (chat)", "bea")
    assert facts["finished"].endswith(" ago")
    assert done.stdout.endswith("\nalpha\x1b[31mbeta\n"), "a pipe gets the model's own bytes"
    assert json.loads(desk.jobs("show", id, "--json").stdout)["text"] == "alpha\x1b[31mbeta"
    with terminal("jobs", "show", id, **desk.env) as shown:
        shown.wait_for(r"state +succeeded.*alpha\[31mbeta")
        assert shown.wait() == 0


def test_a_job_is_followed_to_its_end(desk: Desk) -> None:
    id = desk.hand_in("one two three", delay=0.05)
    done = run("jobs", "follow", id, **desk.env)
    assert (done.returncode, done.stdout) == (0, "one two three\n")
    lines = done.stderr.splitlines()
    assert lines[0].startswith((f"{id}  queued  echo", f"{id}  running  echo"))
    assert lines[-1].startswith(f"{id}  succeeded  echo")
    events = [json.loads(line) for line in desk.jobs("follow", id, "--json").stdout.splitlines()]
    assert events[-1]["data"]["state"] == "succeeded"
    assert "".join(event["data"]["text"] for event in events if event["event"] == "delta") == "one two three"


def test_a_stream_that_breaks_off_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    runs = {"a": "one two", "b": "three"}

    def broken(url: str, key: str | None, last: str) -> Iterator[ask.Event]:
        asked.append(last)
        run = "ab"[len(asked) // 3]
        yield ask.Event("job", b'{"id": "x", "state": "running"}')
        yield ask.Event("delta", json.dumps({"text": runs[run]}).encode(), f"{run}-1")
        if len(asked) == 1:
            raise ask.BrokenOff("cut")
        if len(asked) == 3:
            yield ask.Event("job", b'{"id": "x", "state": "succeeded"}')

    monkeypatch.setattr(ask, "events", broken)
    monkeypatch.setattr(following, "PAUSE", 0.0)
    done = here("jobs", "follow", "x")
    assert (done.returncode, asked) == (0, ["", "a-1", "a-1"])
    assert done.stdout == "one twoone two\nthree\n", "what was told of an earlier run is not taken for this one's"
    assert "work on the job began anew" in done.stderr


def test_an_answer_without_its_end_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def cut() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}")

        thread = threading.Thread(target=cut)
        thread.start()
        with pytest.raises(ask.BrokenOff, match="cannot be read"):
            ask.json(f"http://127.0.0.1:{listener.getsockname()[1]}/", {})
        thread.join()


def test_a_job_is_followed_at_a_terminal(desk: Desk) -> None:
    running, waiting = desk.hand_in(f"first\nlines\n{LONG}", delay=0.03), desk.hand_in("alpha\nbeta")
    with terminal("jobs", "follow", waiting, **desk.env) as second:
        with terminal("jobs", "follow", running, **desk.env) as first:
            first.wait_for(r"first.*lines.*word word")
            first.wait_for(r"running.*echo")
            second.wait_for(r"queued.*place 1")
            assert desk.jobs("cancel", running).returncode == 0
            first.wait_for(r"canceled")
            assert first.wait() == 1
            assert "the job was canceled" in first.text
        second.wait_for(r"alpha.*beta.*succeeded")
        assert second.wait() == 0


def test_following_can_be_left(desk: Desk) -> None:
    id = desk.hand_in(LONG, delay=0.03)
    with terminal("jobs", "follow", id, **desk.env) as shown:
        shown.wait_for("word word")
        shown.press(CTRL_C)
        assert shown.wait() == 130
    done = desk.jobs("cancel", id)
    assert done.returncode == 0
    assert done.stdout.startswith(f"{id}  canceled  echo")


def test_orders(desk: Desk) -> None:
    id = desk.hand_in(LONG, delay=0.03)
    canceled = json.loads(desk.jobs("cancel", id, "--json").stdout)
    assert (canceled["id"], canceled["state"]) == (id, "canceled")
    assert desk.jobs("cancel", id).returncode == 0
    done = desk.jobs("follow", id)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (1, "openai-proxy: the job was canceled")
    done = desk.jobs("retry", id)
    assert (done.returncode, done.stdout[:44]) == (0, f"{id}  queued")
    assert desk.jobs("cancel", id).returncode == 0
    ended = desk.done()
    done = desk.jobs("cancel", ended)
    assert (done.returncode, done.stderr) == (1, "openai-proxy: the job had ended before: it has succeeded\n")
    done = desk.jobs("retry", ended)
    assert done.returncode == 1
    assert done.stderr.endswith("409: The job is succeeded: only a failed or canceled one can be done again.\n")


def test_a_list_is_watched_by_a_program(desk: Desk) -> None:
    watching = subprocess.Popen(
        command("jobs", "list", "--owner", "dora", "--watch"),
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=environment(**desk.env),
    )
    assert watching.stdout is not None
    with watching:
        ids = [desk.hand_in(owner="dora"), desk.hand_in(owner="dora")]
        ended: set[str] = set()
        while len(ended) < 2:
            id, state, *_ = watching.stdout.readline().split()
            ended |= {id} if state == "succeeded" else set()
        assert ended == set(ids)
        watching.send_signal(signal.SIGINT)
        assert watching.wait(10) == 130


def test_a_list_is_watched_at_a_terminal(desk: Desk) -> None:
    with terminal("jobs", "list", "--owner", "eve", "--watch", **desk.env) as watching:
        watching.wait_for("no jobs")
        id = desk.hand_in(owner="eve")
        watching.wait_for(rf"id +state.*{id} +succeeded")
        watching.press(CTRL_C)
        assert watching.wait() == 130


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "--state", "done"), "done is no state; there are queued, running, succeeded, failed, canceled"),
        (("list", "--limit", "0"), "--limit has to be at least 1, and with --watch at most 100"),
        (("list", "--limit", "101", "--watch"), "--limit has to be at least 1, and with --watch at most 100"),
        (("show", ""), "show needs the ID of a job; `openai-proxy jobs list` lists them"),
        (("show", "x", "--base-url", "nonsense"), "'nonsense' is not a base URL like http://127.0.0.1:8000/v1"),
    ],
)
def test_arguments_that_cannot_be_meant(arguments: tuple[str, ...], said: str) -> None:
    done = here("jobs", *arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"openai-proxy: {said}\n")


@pytest.mark.parametrize("action", ["show", "follow", "cancel", "retry"])
def test_a_job_that_is_not_there(desk: Desk, action: str) -> None:
    done = desk.jobs(action, NOWHERE)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.endswith("answered 404: There is no such job.\n")


@pytest.mark.parametrize("arguments", [("list",), ("list", "--watch"), ("show", "x"), ("follow", "x"), ("cancel", "x")])
def test_a_server_that_is_not_there(arguments: tuple[str, ...]) -> None:
    done = here("jobs", *arguments, "--base-url", "http://127.0.0.1:9/v1")
    assert done.returncode == 1
    assert "start a server with `openai-proxy serve`" in done.stderr


@pytest.mark.parametrize("action", [("list",), ("show", "x"), ("follow", "x"), ("retry", "x")])
def test_a_server_that_is_another_one(action: tuple[str, ...]) -> None:
    with imitation() as server:
        server.pages = {path: [] for path in ("/admin/jobs?limit=20", "/admin/jobs/x", "/admin/jobs/x/retry")}
        done = here("jobs", *action, "--base-url", server.base_url)
    assert done.returncode == 1
    assert "something else than" in done.stderr or "404: not here" in done.stderr


def test_a_key_that_may_not(serve: Serve) -> None:
    (admin, _), (user, _) = keys.new("ops"), keys.new("ann")
    known = f"ops:admin={admin},ann={user}"
    server = serve(CONFIG, path="", OPENAI_PROXY_JOBS_DATABASE="memory", OPENAI_PROXY_KEYS=known)
    url = server.base_url
    assert here("jobs", "list", "--base-url", url, OPENAI_API_KEY=admin).returncode == 0
    done = here("jobs", "list", "--base-url", url, OPENAI_API_KEY=user)
    assert done.returncode == 1
    assert done.stderr.endswith("`admin`. Make one with `openai-proxy keys new NAME --scope admin`.\n")
    done = here("jobs", "list", "--base-url", url)
    assert done.stderr == f"openai-proxy: {url} asks for an API key: put it into the variable OPENAI_API_KEY\n"
    done = here("jobs", "list", "--base-url", url, OPENAI_API_KEY="sk-wrong")
    assert done.stderr == f"openai-proxy: {url} does not accept the API key in OPENAI_API_KEY\n"
