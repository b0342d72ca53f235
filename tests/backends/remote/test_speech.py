"""Speech by another server: its bytes go on as they come, its faults are told as ours."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from backends.remote.bodies import call
from backends.requests import SpeechRequest
from openai_proxy.fake_upstream.sounds import SOUNDS
from tests.backends.remote.serving import SERVER, model, table
from tests.conftest import servers
from tests.dialects.openai.local import Answer, ask
from tests.dialects.openai.raw import Arriving, pieces
from tests.dialects.openai.speaking import FORMATS, SPEECH, VOICES, events, heard, joined, samples, speech
from tests.running import Running
from tests.upstream import Upstream, threaded

CHUNKS = 4
LATEST = 0.2


@pytest.fixture(scope="module")
def fake() -> Iterator[Upstream]:
    with threaded(models=("theirs",)) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(fake: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The model `ours`, and `named`, whose voices the settings name."""
    text = SERVER + table("timeouts", {"between_tokens": 1.0, "first_token": 0.5})
    text += model("ours", {"url": fake.url})
    text += model("named", {"url": fake.url}, voices={"alloy": "af_heart", "default": "bf_emma"})
    with servers(tmp_path_factory.mktemp("speech")) as start:
        yield start(text)


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with server.client() as opened:
        yield opened


@pytest.fixture(autouse=True)
def forgotten(fake: Upstream) -> None:
    fake.reset()
    fake.script(chunks=CHUNKS)


def said(server: Running, **fields: Any) -> Answer:
    body = json.dumps(speech(**{"model": "ours", **fields})).encode()
    return ask(server.port, "POST", SPEECH, body, content_type="application/json")


def asked(fake: Upstream) -> Any:
    return fake.seen(1).last[0].json


def file(format: str) -> bytes:
    sounds = SOUNDS[format]
    return sounds.opening + b"".join(map(sounds.piece, range(CHUNKS))) + sounds.finish(CHUNKS)


@pytest.mark.parametrize("format", FORMATS)
def test_the_bytes_are_the_upstreams(client: openai.OpenAI, fake: Upstream, format: Any) -> None:
    given: Any = {"model": "ours", "voice": "whoever", "input": "Hello.", "response_format": format}
    raw = client.audio.speech.with_raw_response.create(**given, speed=1.5, instructions="Softly.")
    assert raw.content == file(format)
    assert raw.headers["content-type"] == SOUNDS[format].kind.decode()
    assert asked(fake) == {**given, "model": "theirs", "speed": 1.5, "instructions": "Softly."}
    assert "x-ignored-fields" not in raw.headers


@pytest.mark.parametrize("format", FORMATS)
def test_events_are_the_upstreams(client: openai.OpenAI, fake: Upstream, format: Any) -> None:
    raw = client.audio.speech.with_raw_response.create(
        model="ours", voice="x", input="One two.", response_format=format, stream_format="sse"
    )
    assert raw.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = events(raw.content)
    assert joined(found) == file(format)
    assert found[-1]["usage"] == {"input_tokens": 2, "output_tokens": CHUNKS, "total_tokens": CHUNKS + 2}
    assert asked(fake)["stream_format"] == "sse"


def test_what_this_server_decides_is_told_upstream(server: Running, fake: Upstream) -> None:
    """Not every server makes MP3 unless it is told, nor has it OpenAI's voices."""
    assert said(server, voice=None).status == 200
    assert asked(fake) == {"model": "theirs", "input": "one two. three", "response_format": "mp3"}
    said(server, voice={"id": "v_1"}, user="me")
    assert asked(fake)["voice"] == "v_1"
    assert "user" not in asked(fake)


def test_voices_of_the_configuration(server: Running, fake: Upstream) -> None:
    voices = {}
    for voice in ("alloy", "nova", "", None):
        said(server, model="named", voice=voice)
        voices[voice] = asked(fake)["voice"]
    assert voices == {"alloy": "af_heart", "nova": "nova", "": "bf_emma", None: "bf_emma"}
    listed = ask(server.port, "GET", VOICES).json
    assert [(each["id"], each["model"]) for each in listed["data"]] == [("bf_emma", "named"), ("af_heart", "named")]


def test_h2ogpts_options_are_ours_and_the_sound_is_made_anew(server: Running, fake: Upstream) -> None:
    whole = said(server, stream=False, speaker="high", speed=2)
    assert samples(whole.body) == (16_000, b"".join(map(SOUNDS["wav"].piece, range(CHUNKS))))
    assert asked(fake) == {
        "model": "theirs",
        "input": "one two. three",
        "response_format": "wav",
        "voice": "high",
        "speed": 2.0,
    }
    for format in FORMATS:
        answer = said(server, stream=True, format=format)
        assert heard(answer.body, format).seconds == pytest.approx(0.4, abs=0.06)
    _, chunks = pieces(server.port, speech(model="ours", stream=True, stream_strip=False))
    assert [chunk[:4] for chunk in chunks] == [b"RIFF"]


def test_what_is_written_anew() -> None:
    request = SpeechRequest(model="ours", text="Hello.", voice="v", speed=0.5, instructions="Slowly.", extra={"a": 1})
    written = call(request, "theirs")
    assert (written.path, written.stream) == ("v1/audio/speech", True)
    named = {"voice": "v", "speed": 0.5, "instructions": "Slowly.", "a": 1}
    assert json.loads(written.body) == {"model": "theirs", "input": "Hello.", "response_format": "wav", **named}
    plain = json.loads(call(SpeechRequest(model="ours", text="Hello."), "theirs").body)
    assert plain == {"model": "theirs", "input": "Hello.", "response_format": "wav"}


@pytest.mark.parametrize(
    "way", [{}, {"stream_format": "sse"}, {"stream": True}, {"stream": True, "stream_strip": False}]
)
def test_the_first_bytes_go_on_at_once(server: Running, fake: Upstream, way: dict[str, Any]) -> None:
    """A piece of h2oGPT's would wait for the end of its sentence, which nobody tells: a second of sound is enough."""
    fake.script(chunks=24, batch=12, delay=0.9)
    arriving = Arriving(server.port, speech(model="ours", **way))
    arriving.begin()
    first = arriving.chunk()
    took = time.monotonic() - arriving.sent
    assert (arriving.status, took < 0.8, bool(first)) == (200, True, True)
    while arriving.chunk():
        pass
    assert arriving.clean
    arriving.close()


REFUSALS = [
    ("status-400", 400, "invalid_value"),
    ("status-401", 502, "upstream_unauthorized"),
    ("status-404", 404, "not_found"),
    ("status-422", 422, "invalid_value"),
    ("status-500", 500, "engine_failed"),
    ("status-500-html", 500, "engine_failed"),
    ("wrong-type", 500, "engine_failed"),
    ("reset-before", 500, "engine_failed"),
    ("reset-after-0", 500, "engine_failed"),
]


@pytest.mark.parametrize("way", [{}, {"stream_format": "sse"}, {"stream": False}, {"stream": True}])
@pytest.mark.parametrize(("fault", "status", "code"), REFUSALS)
def test_faults_before_the_first_byte_have_a_status(
    server: Running, fake: Upstream, fault: str, status: int, code: str, way: dict[str, Any]
) -> None:
    fake.script(fault=fault)
    answer = said(server, **way)
    assert (answer.status, answer.error["code"]) == (status, code)
    fake.script(fault=None)
    assert said(server, **way).status == 200


def test_no_sound_is_a_fault(server: Running, fake: Upstream) -> None:
    fake.script(chunks=0)
    for way in ({}, {"stream_format": "sse"}, {"stream": False}):
        answer = said(server, response_format="pcm", **way)
        if "stream_format" in way:
            assert events(answer.body)[-1]["type"] == "speech.audio.done"
        else:
            assert (answer.status, answer.error["code"]) == (500, "engine_failed")


@pytest.mark.parametrize("fault", ["reset-after-2", "close-after-2", "stall-after-2"])
@pytest.mark.parametrize("way", [{"response_format": "mp3"}, {"response_format": "opus"}, {"response_format": "wav"}])
def test_faults_after_it_cut_the_connection(server: Running, fake: Upstream, fault: str, way: dict[str, Any]) -> None:
    fake.script(fault=fault, chunks=10, delay=0.05)
    arriving = Arriving(server.port, speech(model="ours", **way))
    arriving.begin()
    data = b""
    while piece := arriving.chunk():
        data += piece
    arriving.close()
    assert (arriving.status, arriving.clean) == (200, False)
    assert data
    assert file(way["response_format"]).startswith(data[:300])


@pytest.mark.parametrize(
    "fault", ["reset-after-2", "close-after-2", "error-event", "error-event-done", "no-done", "malformed-sse"]
)
def test_faults_among_events_are_an_event(server: Running, fake: Upstream, fault: str) -> None:
    fake.script(fault=fault, delay=0.02)
    arriving = Arriving(server.port, speech(model="ours", stream_format="sse"))
    arriving.begin()
    data = b""
    while piece := arriving.chunk():
        data += piece
    arriving.close()
    found = events(data)
    assert (found[0]["type"], found[-1]["error"]["code"]) == ("speech.audio.delta", "engine_failed")
    assert not arriving.clean


@pytest.mark.parametrize("fault", ["crlf", "comments", "split", "merged"])
def test_events_however_they_are_written(server: Running, fake: Upstream, fault: str) -> None:
    fake.script(fault=fault)
    assert joined(events(said(server, stream_format="sse", response_format="pcm").body)) == file("pcm")


@pytest.mark.parametrize(
    ("told", "format", "way", "good"),
    [
        ("audio/mp3", "mp3", {}, True),
        ("application/octet-stream", "mp3", {}, True),
        ("audio/something; rate=1", "mp3", {}, True),
        ("audio/ogg; codecs=opus", "opus", {}, True),
        ("audio/x-wav", "wav", {}, True),
        ("audio/wav", "mp3", {}, False),
        ("text/plain", "mp3", {}, False),
        ("text/event-stream", "mp3", {}, False),
        ("application/json", "mp3", {}, False),
        ("audio/wav", "wav", {"stream": False}, True),
        ("audio/mpeg", "wav", {"stream": False}, False),
        ("audio/wav", "wav", {"stream_format": "sse"}, None),
    ],
)
def test_the_type_of_the_answer_is_checked(
    server: Running, fake: Upstream, told: str, format: str, way: dict[str, Any], good: bool | None
) -> None:
    """Of a server that has no events (None) they are made here."""
    fake.script(sound=told)
    answer = said(server, response_format=format, **way)
    if good is None:
        assert joined(events(answer.body)) == file(format)
    elif good:
        assert (answer.status, len(answer.body) >= len(file(format)) - 44) == (200, True)
    else:
        assert (answer.status, answer.error["code"]) == (500, "engine_failed")


@pytest.mark.parametrize("way", [{}, {"stream_format": "sse"}, {"stream": True}, {"stream": False}])
@pytest.mark.parametrize("script", [{"first": 60.0}, {"pause": 60.0}, {"chunks": 100, "delay": 0.5}])
def test_who_leaves_closes_the_upstreams_connection(
    server: Running, fake: Upstream, way: dict[str, Any], script: dict[str, Any]
) -> None:
    fake.script(**script)
    arriving = Arriving(server.port, speech(model="ours", **way))
    fake.wait_for(lambda seen: seen.running == 1)
    if "chunks" in script and way in ({}, {"stream_format": "sse"}):
        arriving.begin()
        assert arriving.chunk()
    arriving.close()
    left = time.monotonic()
    seen = fake.wait_for(lambda seen: seen.aborted)
    assert seen.aborted[0].at - left < LATEST
    assert seen.running == 0


def test_an_upstream_may_take_long_to_begin_but_not_to_go_on(server: Running, fake: Upstream) -> None:
    """Many servers make all of a sound before they send any of it."""
    fake.script(first=1.2)
    assert said(server).status == 200
    fake.script(first=0.0, chunks=3, delay=5.0)
    arriving = Arriving(server.port, speech(model="ours"))
    arriving.begin()
    while arriving.chunk():
        pass
    assert not arriving.clean
    assert 1.0 <= time.monotonic() - arriving.sent < 3.5
    arriving.close()
