"""Jobs as operators see them over HTTP, with a real server and its database."""

from __future__ import annotations

import http.client
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from openai_proxy import keys
from tests.conftest import Serve, servers
from tests.jobs.counter import CONFIG, Counter
from tests.running import Running

WAITS, LONG = " ".join(["word"] * 300), 0.05


class Desk:
    """A server, and what operators ask it."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.counter = Counter(server.log.parent / "jobs")
        self.hand_in = self.counter.hand_in

    def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        try:
            connection.request(method, f"/admin/jobs{path}", headers=headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def job(self, id: str) -> Any:
        status, job = self.ask(f"/{id}")
        assert status == 200
        return job

    def until(self, id: str, fits: Callable[[Any], bool]) -> Any:
        end = time.monotonic() + 20
        while not fits(job := self.job(id)):
            assert time.monotonic() < end, job
            time.sleep(0.02)
        return job

    def ended(self, id: str) -> Any:
        return self.until(id, lambda job: job["finished"] is not None)

    def events(self, id: str, last: str = "") -> Iterator[tuple[str, str, Any]]:
        """Name, id and data of each event, to the end of the stream."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=20)
        connection.request("GET", f"/admin/jobs/{id}/events", headers={"last-event-id": last} if last else {})
        with connection.getresponse() as answer:
            assert answer.headers["content-type"].startswith("text/event-stream")
            fields: dict[str, str] = {}
            while line := line_of(answer):
                name, _, value = line.rstrip("\n").partition(": ")
                if name:
                    fields[name] = value
                elif "data" in fields:
                    yield fields.get("event", "message"), fields.get("id", ""), json.loads(fields["data"])
                    fields = {}
        connection.close()


def line_of(answer: http.client.HTTPResponse) -> str:
    """The next line; nothing where the connection was cut."""
    try:
        return answer.readline().decode()
    except http.client.IncompleteRead:
        return ""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    Counter(folder / "jobs").hand_in()  # what is left from before is taken up when the server starts
    with servers(folder) as start:
        yield Desk(start(CONFIG))


def refusal(answer: tuple[int, Any]) -> tuple[int, str, str | None]:
    status, body = answer
    return status, body["error"]["code"], body["error"]["param"]


def test_what_an_earlier_process_left_is_done_without_being_asked_for(desk: Desk) -> None:
    [job] = desk.ask("?owner=ann")[1]["jobs"]
    assert desk.ended(job["id"])["state"] == "succeeded"


def test_a_job_is_shown_with_its_text(desk: Desk) -> None:
    id = desk.hand_in("alpha beta", owner="bea", origin="aime", address="10.1.2.3", sent=b'{"a": 1}')
    job = desk.ended(id)
    assert (job["state"], job["text"], job["files"]) == ("succeeded", "alpha beta", [])
    assert (job["owner"], job["origin"], job["address"], job["kind"]) == ("bea", "aime", "10.1.2.3", "chat")
    assert job["sent"] == '{"a": 1}'
    assert job["created"] < job["started"] <= job["first"] <= job["finished"]
    assert (job["progress"], job["position"], job["attempt"], job["failure"]) == (1.0, 0, 1, None)


def test_jobs_are_listed_by_what_is_asked_for(desk: Desk) -> None:
    ids = [desk.hand_in(owner="cleo", origin=origin) for origin in ("infernet", "aime", "aime")]
    for id in ids:
        desk.ended(id)
    assert [job["id"] for job in desk.ask("?owner=cleo")[1]["jobs"]] == ids[::-1]
    assert [job["id"] for job in desk.ask("?owner=cleo&origin=infernet")[1]["jobs"]] == ids[:1]
    assert [job["id"] for job in desk.ask("?owner=cleo&state=queued,succeeded&state=failed")[1]["jobs"]] == ids[::-1]
    assert desk.ask("?owner=cleo&state=failed")[1] == {"jobs": [], "next": None}
    assert desk.ask("?model=other")[1] == {"jobs": [], "next": None}
    first = desk.ask("?owner=cleo&model=echo&limit=2")[1]
    assert [job["id"] for job in first["jobs"]] == ids[:0:-1]
    rest = desk.ask(f"?owner=cleo&model=echo&limit=2&before={first['next']}")[1]
    assert ([job["id"] for job in rest["jobs"]], rest["next"]) == (ids[:1], None)


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        ("?limit=0", "invalid_value", "limit"),
        ("?limit=101", "invalid_value", "limit"),
        ("?limit=many", "invalid_value", "limit"),
        ("?before=0", "invalid_value", "before"),
        ("?state=done", "invalid_value", "state"),
        ("?owner=", "invalid_value", "owner"),
        ("?owner=%00", "invalid_value", "owner"),
        ("?colour=red", "unknown_parameter", "colour"),
        ("?" + "&".join("limit=1" for _ in range(65)), "too_many_items", None),
    ],
)
def test_what_is_asked_for_has_to_make_sense(desk: Desk, query: str, code: str, param: str | None) -> None:
    assert refusal(desk.ask(query)) == (400, code, param)


def test_the_longest_page_is_given(desk: Desk) -> None:
    assert desk.ask("?limit=100")[0] == 200


@pytest.mark.parametrize("id", ["00000000-0000-0000-0000-000000000000", "what", "%00"])
def test_a_job_that_is_not_there(desk: Desk, id: str) -> None:
    for path, method in (("", "GET"), ("/events", "GET"), ("/cancel", "POST"), ("/retry", "POST")):
        assert refusal(desk.ask(f"/{id}{path}", method)) == (404, "job_not_found", None)


def test_a_job_is_cancelled_and_done_again(desk: Desk) -> None:
    running, waiting = desk.hand_in(WAITS, delay=LONG), desk.hand_in("later")
    assert desk.until(waiting, lambda job: job["position"] == 1)["state"] == "queued"
    desk.until(running, lambda job: 0 < job["progress"] < 1 and job["text"])
    status, job = desk.ask(f"/{running}/cancel", "POST")
    assert (status, job["state"]) == (200, "canceled")
    assert desk.ask(f"/{running}/cancel", "POST")[1]["finished"] == job["finished"], "a second time changes nothing"
    assert desk.ended(waiting)["text"] == "later"
    assert refusal(desk.ask(f"/{waiting}/retry", "POST")) == (409, "wrong_state", None)
    status, job = desk.ask(f"/{running}/retry", "POST")
    assert (status, job["state"], job["finished"]) == (200, "queued", None)
    desk.until(running, lambda job: job["state"] == "running")
    desk.ask(f"/{running}/cancel", "POST")


def test_events_are_told_from_the_one_after_the_last(desk: Desk) -> None:
    id = desk.hand_in("one two three four five six", delay=0.05)
    told = list(desk.events(id))
    assert [event["state"] for name, _, event in told if name == "job"][-1] == "succeeded"
    assert "".join(event["text"] for name, _, event in told if name == "delta") == "one two three four five six"
    ids = [id for _, id, _ in told if id]
    run = ids[0].partition("-")[0]
    assert ids == [f"{run}-{number}" for number in range(1, len(ids) + 1)]
    assert [id for _, id, _ in desk.events(id, ids[2]) if id] == ids[3:]
    for stranger in ("abc-3", "nonsense", f"{run}-x"):
        assert [id for _, id, _ in desk.events(id, stranger) if id] == ids
    assert [name for name, _, _ in desk.events(id, ids[-1])] == ["job"]


def test_a_job_that_waits_is_followed_to_its_end(desk: Desk) -> None:
    running, waiting = desk.hand_in(WAITS, delay=LONG), desk.hand_in("later")
    desk.until(running, lambda job: job["state"] == "running")
    told = desk.events(waiting)
    name, _, job = next(told)
    assert (name, job["state"], job["position"]) == ("job", "queued", 1)
    desk.ask(f"/{running}/cancel", "POST")
    rest = list(told)
    assert "".join(event["text"] for name, _, event in rest if name == "delta") == "later"
    assert (rest[-1][0], rest[-1][2]["state"]) == ("job", "succeeded")


def test_metrics_tell_of_jobs(desk: Desk) -> None:
    desk.ended(desk.hand_in(size=1000))
    client = http.client.HTTPConnection("127.0.0.1", desk.server.port, timeout=20)
    end = time.monotonic() + 20
    while True:
        client.request("GET", "/metrics")
        figures = dict(
            line.rsplit(" ", 1) for line in client.getresponse().read().decode().splitlines() if line[0] != "#"
        )
        if float(figures.get('openai_proxy_jobs_kept{state="succeeded"}', 0)) >= 1:
            break
        assert time.monotonic() < end, figures
        time.sleep(0.1)
    client.close()
    assert float(figures['openai_proxy_jobs_kept{state="queued"}']) >= 0
    assert float(figures["openai_proxy_jobs_kept_bytes"]) >= 100
    assert float(figures['openai_proxy_jobs_total{origin="test",state="succeeded"}']) >= 1
    assert float(figures['openai_proxy_job_waiting_seconds_count{model="echo"}']) >= 1
    assert float(figures['openai_proxy_job_running_seconds_count{model="echo"}']) >= 1
    assert float(figures["openai_proxy_job_attempts_lost_total"]) == 0


def test_only_keys_with_the_scope_admin_may(serve: Serve) -> None:
    (admin, _), (user, _) = keys.new("ops"), keys.new("ann")
    known = f"ops:admin={admin},ann={user}"
    desk = Desk(serve(CONFIG, path="", OPENAI_PROXY_JOBS_DATABASE="memory", OPENAI_PROXY_KEYS=known))
    assert refusal(desk.ask(""))[:2] == (401, "missing_api_key")
    for path, method in (("", "GET"), ("/x", "GET"), ("/x/events", "GET"), ("/x/cancel", "POST"), ("/x/retry", "POST")):
        assert refusal(desk.ask(path, method, authorization=f"Bearer {user}"))[:2] == (403, "insufficient_scope")
    assert desk.ask("", authorization=f"Bearer {admin}") == (200, {"jobs": [], "next": None})


def test_who_follows_is_told_that_the_server_ends(serve: Serve, tmp_path: Path) -> None:
    counter = Counter(tmp_path / "jobs")
    running, waiting = counter.hand_in(WAITS, delay=LONG), counter.hand_in()
    desk = Desk(serve(CONFIG))
    desk.until(running, lambda job: job["state"] == "running")
    told = desk.events(waiting)
    assert next(told)[2]["state"] == "queued"
    desk.server.process.send_signal(signal.SIGTERM)
    assert [event["error"]["code"] for _, _, event in told] == ["draining"]
    assert desk.server.process.wait(10) == 0
    assert '"level":"error"' not in desk.server.output()
