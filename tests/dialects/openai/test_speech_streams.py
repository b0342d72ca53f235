"""Speech while it is made: when the first bytes leave, what a failure does to them, and who leaves."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.dialects.openai.local import ask
from tests.dialects.openai.raw import Arriving
from tests.dialects.openai.speaking import FORMATS, events, heard, speech
from tests.running import Running

SLOW = {"first_delay": 0.3, "delay": 2.0}
WAYS: list[dict[str, Any]] = [
    *({"response_format": format} for format in FORMATS),
    {"stream_format": "sse"},
    {"stream": True},
    {"stream": True, "stream_strip": False},
]


@pytest.fixture
def client(echo_server: Running) -> Iterator[openai.OpenAI]:
    with echo_server.client() as opened:
        yield opened


@pytest.fixture(autouse=True)
def mended(echo_server: Running) -> Iterator[None]:
    """Failures in a row would give the model a pause."""
    yield
    body = json.dumps(speech(response_format="wav")).encode()
    assert ask(echo_server.port, "POST", "/v1/audio/speech", body, content_type="application/json").status == 200


@pytest.mark.parametrize("way", WAYS)
def test_the_first_bytes_leave_with_the_first_sound(echo_server: Running, way: dict[str, Any]) -> None:
    """The model needs 0.3 s for its first word and 2 s for each further one."""
    arriving = Arriving(echo_server.port, speech(input="Hello. world", script=SLOW, **way))
    arriving.begin()
    first = arriving.chunk()
    took = time.monotonic() - arriving.sent
    arriving.close()
    assert arriving.status == 200
    assert 0.3 <= took < 1.5
    # A tenth of a second may stay in an encoder.
    assert len(first) > 300


def test_the_sdk_hears_it_too(client: openai.OpenAI) -> None:
    began = time.monotonic()
    with client.audio.speech.with_streaming_response.create(
        model="echo", voice="alloy", input="Hello. world", extra_body={"script": SLOW}
    ) as answer:
        first = next(answer.iter_bytes(100))
        assert time.monotonic() - began < 1.5
        assert first


def test_events_while_they_are_made(client: openai.OpenAI) -> None:
    began = time.monotonic()
    with client.audio.speech.with_streaming_response.create(
        model="echo", voice="alloy", input="Hello. world", stream_format="sse", extra_body={"script": SLOW}
    ) as answer:
        line = next(line for line in answer.iter_lines() if line.startswith("data: "))
        assert time.monotonic() - began < 1.5
        assert json.loads(line.removeprefix("data: "))["type"] == "speech.audio.delta"


@pytest.mark.parametrize("way", [*WAYS, {"stream": False}])
@pytest.mark.parametrize("fail", ["early", "unavailable"])
def test_a_failure_before_the_first_sound_has_a_status(echo_server: Running, way: dict[str, Any], fail: str) -> None:
    """Even after the second in which a stream of events would have got its status line."""
    body = json.dumps(speech(script={"fail": fail}, **way)).encode()
    answer = ask(echo_server.port, "POST", "/v1/audio/speech", body, content_type="application/json")
    assert answer.error["code"] == {"early": "engine_failed", "unavailable": "engine_unavailable"}[fail]


def test_a_sound_that_is_late_to_fail_has_a_status(echo_server: Running) -> None:
    script = {"first_delay": 1.5, "fail": "late", "after": 1, "text": "€ €"}
    body = json.dumps(speech(script=script)).encode()
    answer = ask(echo_server.port, "POST", "/v1/audio/speech", body, content_type="application/json")
    answer.refusal(400, "invalid_value", "input")


@pytest.mark.parametrize("way", [each for each in WAYS if "stream_format" not in each])
def test_a_failure_after_it_cuts_the_connection(echo_server: Running, way: dict[str, Any]) -> None:
    script = {"fail": "late", "after": 1, "delay": 0.1}
    arriving = Arriving(echo_server.port, speech(input="One. two. three.", script=script, **way))
    arriving.begin()
    data = b""
    while piece := arriving.chunk():
        data += piece
    arriving.close()
    assert arriving.status == 200
    assert data
    assert not arriving.clean
    assert b"error" not in data


def test_a_failure_among_events_is_an_event(echo_server: Running, client: openai.OpenAI) -> None:
    script = {"fail": "late", "after": 1}
    arriving = Arriving(echo_server.port, speech(input="One. two.", stream_format="sse", script=script))
    arriving.begin()
    data = b""
    while piece := arriving.chunk():
        data += piece
    arriving.close()
    found = events(data)
    assert found[0]["type"] == "speech.audio.delta"
    assert found[-1]["error"]["code"] == "engine_failed"
    assert not arriving.clean


def running(server: Running) -> float:
    lines = ask(server.port, "GET", "/metrics").body.decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith("openai_proxy_requests_running{"))


@pytest.mark.parametrize("way", [*WAYS, {"stream": False}])
@pytest.mark.parametrize("script", [{"stall": True}, {"stall": True, "after": 2}])
def test_who_leaves_stops_the_engine(echo_server: Running, way: dict[str, Any], script: dict[str, Any]) -> None:
    arriving = Arriving(echo_server.port, speech(input="One. two. three. four.", script=script, **way))
    until(lambda: running(echo_server) == 1)
    if script.get("after") and way != {"stream": False}:
        arriving.begin()
        assert arriving.chunk()
    arriving.close()
    left = time.monotonic()
    until(lambda: running(echo_server) == 0)
    assert time.monotonic() - left < 0.5


def until(condition: Any) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)


def test_many_at_once(client: openai.OpenAI, echo_server: Running) -> None:
    """Each gets its own sound, whatever the others ask for."""
    bodies = [speech(input="word " * (3 + number), response_format=FORMATS[number % 6]) for number in range(24)]
    arriving = [Arriving(echo_server.port, body) for body in bodies]
    for number, each in enumerate(arriving):
        each.begin()
        data = b""
        while piece := each.chunk():
            data += piece
        each.close()
        assert each.clean
        seconds = (3 + number) * (4 * 0.06 + 0.05)
        assert heard(data, FORMATS[number % 6]).seconds == pytest.approx(seconds, rel=0.02, abs=0.1)
