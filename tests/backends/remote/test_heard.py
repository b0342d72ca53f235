"""Transcripts of another server as streams: words arrive as they are heard there, and a bad end is told."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from msgspec import structs

from backends.events import Delta, Event, Finish, Segment, Usage
from backends.remote.bodies import call
from backends.remote.transcripts import TranscriptStream
from backends.remote.unreadable import Unreadable
from backends.requests import Audio, TranscriptionRequest
from tests.backends.remote.serving import SERVER, model
from tests.conftest import servers
from tests.running import Running
from tests.sounds import tone
from tests.upstream import Upstream, threaded

CHUNKS = 6
PAUSE = 0.1


@pytest.fixture(scope="module")
def fake() -> Iterator[Upstream]:
    with threaded(models=("theirs",)) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(fake: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with servers(tmp_path_factory.mktemp("heard")) as start:
        yield start(SERVER + model("ours", {"url": fake.url, "model": "theirs"}))


@pytest.fixture(autouse=True)
def forgotten(fake: Upstream) -> None:
    fake.reset()
    fake.script(chunks=CHUNKS)


def stream(server: Running, **fields: Any) -> Iterator[tuple[float, Any]]:
    """Each event, and the seconds until it came."""
    with server.client() as client:
        begun = time.monotonic()
        sound = ("some.wav", tone(seconds=1.0))
        for event in client.audio.transcriptions.create(model="ours", file=sound, stream=True, **fields):
            yield time.monotonic() - begun, event


def test_words_come_as_they_are_heard(server: Running, fake: Upstream) -> None:
    fake.script(delay=PAUSE)
    events = list(stream(server))
    deltas = [(at, event.delta) for at, event in events if event.type == "transcript.text.delta"]
    assert len(deltas) == CHUNKS
    assert deltas[-1][0] - deltas[0][0] > (CHUNKS - 2) * PAUSE
    done = events[-1][1]
    assert done.type == "transcript.text.done"
    assert done.text == "".join(text for _, text in deltas)
    assert done.usage.output_tokens == CHUNKS
    with server.client() as client:
        whole = client.audio.transcriptions.create(model="ours", file=("some.wav", tone(seconds=1.0)))
    assert whole.text == done.text


def test_where_times_are_wanted_no_stream_is_asked_for(server: Running) -> None:
    events = [event for _, event in stream(server, timestamp_granularities=["segment"])]
    assert "transcript.text.segment" in {event.type for event in events}
    request = TranscriptionRequest(model="ours", audio=Audio(b"", "wav", 60.0), stream=True)
    for timestamps, asked in (((), True), (("segment",), False)):
        made = call(structs.replace(request, timestamps=timestamps), "theirs")
        assert (b'name="stream"' in made.body, made.stream) == (asked, asked)


@pytest.mark.parametrize("fault", ["reset-after-2", "close-after-2", "malformed-sse", "error-event", "status-400"])
def test_a_bad_end_is_an_error(server: Running, fake: Upstream, fault: str) -> None:
    fake.script(fault=fault)
    with pytest.raises(openai.APIError):
        list(stream(server))


def fed(*events: dict[str, Any] | str) -> tuple[TranscriptStream, list[Event]]:
    heard, told = TranscriptStream(), []
    for event in events:
        text = event if isinstance(event, str) else json.dumps(event)
        told += heard.feed(f": a comment\r\n\r\ndata: {text}\r\n\r\n".encode())
    return heard, told


def test_events_of_openai() -> None:
    token = {"token": " Hi", "logprob": -0.5, "bytes": [32, 72, 105]}
    segment = {"type": "transcript.text.segment", "id": "1", "start": 0.5, "end": 1.5, "text": "Hi", "speaker": "A"}
    heard, told = fed(
        {"type": "transcript.text.delta", "delta": " Hi", "logprobs": [token]},
        segment,
        {
            "type": "transcript.text.done",
            "text": "Hi",
            "usage": {"type": "tokens", "input_tokens": 3, "output_tokens": 1},
        },
    )
    [said, part, end] = told
    assert isinstance(said, Delta)
    assert (said.text, [each.logprob for each in said.logprobs or ()]) == (" Hi", [-0.5])
    assert part == Segment(0.5, 1.5, "Hi")
    assert end == Finish("stop")
    assert heard.finished
    assert heard.usage == Usage(3, 1)


def test_chunks_of_vllm() -> None:
    def chunk(text: str, reason: str | None = None) -> dict[str, Any]:
        return {"object": "transcription.chunk", "choices": [{"delta": {"content": text}, "finish_reason": reason}]}

    usage = {"prompt_tokens": 9, "completion_tokens": 2, "total_tokens": 11}
    heard, told = fed(
        chunk("One"), chunk(" two", "stop"), {"object": "transcription.chunk", "choices": [], "usage": usage}
    )
    assert "".join(event.text for event in told if isinstance(event, Delta)) == "One two"
    assert told[-1] == Finish("stop")
    assert heard.usage == Usage(9, 2)
    assert not heard.done
    assert fed("[DONE]")[0].done
    assert not fed("[DONE]")[0].finished


@pytest.mark.parametrize("event", ['{"type": "something.else"}', "{", "[]", '{"type": 5}'])
def test_other_events_are_not_understood(event: str) -> None:
    with pytest.raises(Unreadable):
        fed(event)
