"""One answer of an upstream -> events, as it comes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator

from msgspec import structs

from backends.events import Event, Relayed
from backends.remote.answers import events_of_whole
from backends.remote.bodies import Call, wants_usage
from backends.remote.chunks import events_of
from backends.remote.drawing import PictureStream
from backends.remote.faults import fault_in_stream
from backends.remote.http import Answer
from backends.remote.spoken import spoken
from backends.remote.stream import Stream
from backends.remote.transcripts import TranscriptStream
from backends.remote.unreadable import ENDED_EARLY, NO_ANSWER, Unreadable, check_utf8
from backends.requests import ChatRequest, CompletionRequest, ImageRequest, Request, SpeechRequest, TranscriptionRequest

LARGEST_ANSWER = 256_000_000
LARGEST_TEXT = 64_000_000  # tens of thousands of tokens with twenty log probabilities for each
EVENTS = b"text/event-stream"
JSON = b"application/json"


async def relayed(
    answer: Answer, call: Call, request: Request, hide: Callable[[str], str], heard: Callable[[], None]
) -> AsyncGenerator[Event, None] | list[Event]:
    """The events of an answer with status 200: as they come, or at once all those of a whole body.

    `heard` is told of what comes and is no event: a comment, or a part of an event.
    Raises Unreadable and HttpError, which a generator raises too and, for an error in a stream, Rejected.
    """
    kind = answer.headers.get(b"content-type", b"")
    if call.stream and isinstance(request, ChatRequest | CompletionRequest):
        if kind.startswith(EVENTS):
            return _streamed(answer, request, hide, heard)
        request = structs.replace(request, form=None)  # all at once after all: our own chunks are made of it
    if isinstance(request, SpeechRequest):
        return spoken(answer, request, hide)
    if call.stream and isinstance(request, ImageRequest):
        if kind.startswith(EVENTS):
            return _drawn(answer, hide, heard)
        request = structs.replace(request, form=None)
    if call.stream and isinstance(request, TranscriptionRequest) and kind.startswith(EVENTS):
        return _heard(answer, hide, heard)
    if not kind.startswith(JSON):
        raise Unreadable(NO_ANSWER)
    largest = LARGEST_TEXT if isinstance(request, ChatRequest | CompletionRequest) else LARGEST_ANSWER
    body = await answer.whole(largest)
    check_utf8(body)
    return list(events_of_whole(request, body))


async def _streamed(
    answer: Answer, request: ChatRequest | CompletionRequest, hide: Callable[[str], str], heard: Callable[[], None]
) -> AsyncGenerator[Event, None]:
    stream, form = Stream(request.model), request.form
    while not stream.done:
        data = await answer.read()
        if not data:
            break
        block = stream.feed(data)
        if block and form is not None:
            yield Relayed(block, stream.pieces)
        elif block:
            for event in _events(block):
                yield event
        else:
            heard()
        if stream.broken is not None:
            raise stream.broken
    _check_end(answer, stream, request, hide)
    if form is not None and stream.usage_event and wants_usage(form):
        yield Relayed(stream.usage_event, 0)
    if stream.usage is not None:
        yield stream.usage.usage


async def _drawn(answer: Answer, hide: Callable[[str], str], heard: Callable[[], None]) -> AsyncGenerator[Event, None]:
    stream = PictureStream()
    while not stream.done:
        data = await answer.read()
        if not data:
            break
        block = stream.feed(data)
        if block:
            yield Relayed(block, 0)
        else:
            heard()
    if stream.error is not None:
        raise fault_in_stream(stream.error, hide)
    if not stream.finished:
        raise Unreadable(ENDED_EARLY)
    if stream.done:
        answer.finish()
    if stream.usage is not None:
        yield stream.usage


async def _heard(answer: Answer, hide: Callable[[str], str], heard: Callable[[], None]) -> AsyncGenerator[Event, None]:
    stream = TranscriptStream()
    while not stream.done and (data := await answer.read()):
        events = stream.feed(data)
        if not events:
            heard()
        for event in events:
            yield event
    if stream.error is not None:
        raise fault_in_stream(stream.error, hide)
    if not stream.finished:
        raise Unreadable(ENDED_EARLY)
    answer.finish()
    yield stream.usage


def _check_end(
    answer: Answer, stream: Stream, request: ChatRequest | CompletionRequest, hide: Callable[[str], str]
) -> None:
    """Raises what it means that a stream ended as it did, if that was no good end."""
    if stream.error is not None:
        raise fault_in_stream(stream.error, hide)
    if stream.done:
        answer.finish()
    elif stream.finished < _choices(request):
        raise Unreadable(ENDED_EARLY)


def _events(block: bytes) -> Iterator[Event]:
    for event in block.split(b"\n\n"):
        if event:
            yield from events_of(event.removeprefix(b"data: "))


def _choices(request: ChatRequest | CompletionRequest) -> int:
    prompts = len(request.prompts) if isinstance(request, CompletionRequest) else 1
    return prompts * request.sampling.n
