"""What webhooks are told of predictions, by a real server."""

from __future__ import annotations

import base64
import itertools
import re
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import servers
from tests.dialects.predictions.calls import PREDICTIONS, get, post, prediction, refusal, wait_for
from tests.dialects.predictions.conftest import CONFIG
from tests.running import ROOT, Running
from tests.webhooks.receiver import Call, Receiver, receiving

KEY = b"a key of twenty-four bytes"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
VERIFY = re.compile(r"```python title=verify.py\n(.*?)```", re.DOTALL)
TRIES = 3
SLOW = """
[models.steady]
backend = "echo"
slots = 9
options = { delay = 0.05, chunks = 28 }
"""


def settings(receiver: Receiver, **more: Any) -> str:
    fields = {"retry_time": 0.2, "tries": TRIES, "domains": ["127.0.0.1", "localhost", "10.0.0.1"], **more}
    lines = "\n".join(f"{name} = {value!r}" for name, value in fields.items())
    reach = f"networks = ['127.0.0.0/8']\nschemes = ['http']\nports = [{receiver.port}]"
    return f"{CONFIG}{SLOW}[webhooks]\n{reach}\n{lines}\n[timeouts]\nwebhook = 1.0\n[jobs]\nlease = 1.0\n"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as found:
        yield found


@pytest.fixture(scope="module")
def calling(receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that calls the receiver."""
    with servers(tmp_path_factory.mktemp("calling")) as start:
        yield start(settings(receiver), OPENAI_PROXY_WEBHOOK_SECRET=SECRET)


def create(server: Running, url: str, model: str = "echo", field: str = "webhook", **more: Any) -> dict[str, Any]:
    inputs = {"prompt": "one two three", **more.pop("input", {})}
    body = {"version": model, "input": inputs, field: url, **more}
    return prediction(post(server, PREDICTIONS, body), 201)


def events(calls: list[Call]) -> list[str]:
    return [call.event for call in calls]


def counted(server: Running, name: str) -> float:
    lines = get(server, "/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(name))


def until(there: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not there():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_start_and_the_end_are_told_in_order_and_signed(calling: Running, receiver: Receiver) -> None:
    made = create(calling, receiver.url("/all?token=hidden"))
    calls = receiver.wait("/all?token=hidden", "completed")
    assert (calls[0].event, calls[-1].event) == ("start", "completed")
    assert all(call.signed(KEY) for call in calls)
    assert not any(call.signed(b"another key") for call in calls)
    shown: dict[str, Any] = {}
    exec(VERIFY.search((ROOT / "README.md").read_text())[1], shown)  # type: ignore[index]
    assert shown["verified"](SECRET, calls[0].headers, calls[0].body)
    assert not shown["verified"](SECRET, calls[0].headers, calls[0].body + b" ")
    assert all(call.headers["content-type"] == "application/json" for call in calls)
    start, completed = calls[0].json, calls[-1].json
    assert completed == wait_for(calling, made["id"], "succeeded")
    assert start == {
        **completed,
        **{"status": "processing", "output": None, "completed_at": None, "metrics": {}},
    }
    until(lambda: f"job {made['id']}, try 1" in calling.log.read_text())
    log = calling.log.read_text()
    assert f"webhook: completed of job {made['id']}, try 1 of {TRIES} to 127.0.0.1: delivered (status 200)" in log
    assert "hidden" not in log


def test_a_webhook_is_told_what_it_wants_to_hear(calling: Running, receiver: Receiver) -> None:
    text = " ".join(f"word{number}" for number in range(28))
    wanted = {"start": ["start"], "output": ["output"], "logs": ["logs"], "some": ["logs", "completed"]}
    more: dict[str, Any] = {"input": {"prompt": text, "odd": 1}, "model": "steady"}
    for name, filter in wanted.items():
        create(calling, receiver.url(f"/{name}"), webhook_events_filter=filter, **more)
    create(calling, receiver.url("/old"), field="webhook_completed", webhook_events_filter=["start"], **more)
    create(calling, receiver.url("/every"), webhook_events_filter=[], **more)
    for name, last in (("old", "completed"), ("some", "completed"), ("every", "completed"), ("start", "start")):
        receiver.wait(f"/{name}", last)
    receiver.wait("/logs", "logs")
    told = receiver.at("/output")
    while told[-1].json["output"] != receiver.at("/old")[0].json["output"]:
        told = receiver.wait("/output", "output", len(told) + 1)
    assert events(receiver.at("/start")) == ["start"]
    assert events(receiver.at("/logs")) == ["logs"]
    assert "odd" in receiver.at("/logs")[0].json["logs"]
    assert events(receiver.at("/old")) == ["completed"]
    assert events(receiver.at("/some")) == ["logs", "completed"]
    assert set(events(told)) == {"output"}
    assert len(told) >= 2
    assert all(after.time - before.time > 0.49 for before, after in itertools.pairwise(told))
    lengths = [len(call.json["output"]) for call in told]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]
    assert {call.json["status"] for call in told} == {"processing"}
    every = events(receiver.at("/every"))
    assert (every[0], every[-1]) == ("start", "completed")
    assert "output" in every
    assert set(every[1:-1]) <= {"output", "logs"}


def test_every_end_is_told(calling: Running, receiver: Receiver) -> None:
    create(calling, receiver.url("/failed"), "broken")
    [call] = [call for call in receiver.wait("/failed", "completed") if call.event == "completed"]
    assert (call.json["status"], bool(call.json["error"])) == ("failed", True)
    made = create(calling, receiver.url("/canceled"), "org/slow")
    receiver.wait("/canceled", "start")
    post(calling, f"{PREDICTIONS}/{made['id']}/cancel")
    assert receiver.wait("/canceled", "completed")[-1].json["status"] == "canceled"


def test_only_the_end_is_tried_again_and_under_its_id_until_it_is_late(calling: Running, receiver: Receiver) -> None:
    create(calling, receiver.url("/fail/2/a"), "steady", webhook_events_filter=["completed"])
    create(calling, receiver.url("/fail/9/b"), "steady")
    calls = receiver.wait("/fail/2/a", "completed", 3)
    assert len({call.id for call in calls}) == 1
    assert all(call.signed(KEY) for call in calls)
    assert len({call.body for call in calls}) == 1
    late = receiver.wait("/fail/9/b", "completed", TRIES)
    assert events(late) == ["start", *["completed"] * TRIES]  # no output: the first was not taken
    create(calling, receiver.url("/after"))
    receiver.wait("/after", "completed")
    assert len(receiver.at("/fail/9/b")) == 1 + TRIES
    until(lambda: counted(calling, "openai_proxy_webhooks_given_up_total") >= 1)
    assert counted(calling, 'openai_proxy_webhooks_total{event="completed",outcome="refused"}') == 2 + TRIES


def test_who_is_slow_holds_up_neither_jobs_nor_others(calling: Running, receiver: Receiver) -> None:
    stalled = [create(calling, receiver.url("/stall/x", "localhost")) for _ in range(6)]
    for made in stalled:
        wait_for(calling, made["id"], "succeeded")
    create(calling, receiver.url("/quick"))
    receiver.wait("/quick", "completed")


def test_a_prediction_that_is_asked_for_again_calls_once(calling: Running, receiver: Receiver) -> None:
    body = {"version": "echo", "input": {"prompt": "a"}, "webhook": receiver.url("/once")}
    first, second = (prediction(post(calling, PREDICTIONS, body, idempotency_key="once"), 201) for _ in range(2))
    assert first["id"] == second["id"]
    receiver.wait("/once", "completed")
    create(calling, receiver.url("/then"))
    receiver.wait("/then", "completed")
    assert events(receiver.at("/once")).count("completed") == 1


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"webhook": "http://example.org/"}, "webhook"),
        ({"webhook": "https://127.0.0.1/"}, "webhook"),
        ({"webhook": "http://127.0.0.1:1/"}, "webhook"),
        ({"webhook": "HERE//10.0.0.1"}, "webhook"),
        ({"webhook": "no address"}, "webhook"),
        ({"webhook_completed": "http://127.0.0.1:1/"}, "webhook_completed"),
        ({"webhook": "HERE", "webhook_completed": "HERE"}, "webhook_completed"),
        ({"webhook": "HERE", "webhook_events_filter": ["start", "end"]}, "webhook_events_filter"),
        ({"webhook": "HERE", "webhook_events_filter": "start"}, "webhook_events_filter"),
    ],
)
def test_a_webhook_that_is_refused(calling: Running, receiver: Receiver, more: dict[str, Any], field: str) -> None:
    there = {"HERE": receiver.url("/refused"), "HERE//10.0.0.1": receiver.url("/refused", "10.0.0.1")}
    body = {name: there.get(value, value) if isinstance(value, str) else value for name, value in more.items()}
    told = post(calling, PREDICTIONS, {"version": "echo", "input": {"prompt": "a"}, **body})
    named = [each["field"].partition("[")[0].partition(".")[0] for each in told.json["invalid_fields"]]
    assert (told.status, named) == (422, [field]), told.body
    assert receiver.at("/refused") == []


def test_the_models_own_path_takes_them_and_what_waits_does_not(calling: Running, receiver: Receiver) -> None:
    body = {"input": {"prompt": "a"}, "webhook": receiver.url("/own")}
    made = prediction(post(calling, "/v1/models/local/echo/predictions", body, prefer="wait=5"), 201)
    assert receiver.wait("/own", "completed")[-1].json == made
    refusal(post(calling, PREDICTIONS, {**body, "version": "echo", "webhook": "x"}), 422, "webhook")


def test_an_end_is_told_after_the_death_of_who_promised_it(receiver: Receiver, tmp_path: Path) -> None:
    with servers(tmp_path) as start:
        first = start(settings(receiver), OPENAI_PROXY_WEBHOOK_SECRET=SECRET)
        made = create(first, receiver.url("/dead"), "steady", webhook_events_filter=["completed"])
        first.stop(signal.SIGKILL)
        # As long as it would be thought to be alive.
        with sqlite3.connect(tmp_path / "jobs" / "jobs.db") as database:
            assert database.execute("UPDATE errands SET due = due - 60").rowcount == 1
        second = start(settings(receiver), OPENAI_PROXY_WEBHOOK_SECRET=SECRET)
        [call] = receiver.wait("/dead", "completed")
        assert call.signed(KEY)
        told = wait_for(second, made["id"], "succeeded")
        assert {**call.json, "urls": None} == {**told, "urls": None}
        assert call.json["urls"] == made["urls"]
