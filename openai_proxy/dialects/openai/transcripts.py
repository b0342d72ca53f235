"""Transcripts as clients read them: JSON, text, subtitles and streams."""

from __future__ import annotations

import math
import zlib
from typing import assert_never

import msgspec
from msgspec import Struct

from audio.subtitles import Line, srt, vtt
from backends.events import (
    Answering,
    Delta,
    Embedding,
    Event,
    Finish,
    Outcome,
    Picture,
    Progress,
    PromptLogprobs,
    Relayed,
    Score,
    Segment,
    Sound,
    Tokens,
    Usage,
)
from backends.requests import TranscriptionRequest
from openai_proxy.wire import JSON, Headers

PLAIN: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)
VTT: Headers = ((b"content-type", b"text/vtt; charset=utf-8"),)
UNKNOWN = "unknown"


class Duration(Struct, tag="duration"):
    """How long the sound was; whole seconds, as they are billed."""

    seconds: int


class TokenUsage(Struct, tag="tokens"):
    """Tokens read and written."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class Transcript(Struct):
    """The words."""

    text: str
    usage: Duration


class TranscriptSegment(Struct):
    """Some of the words with their times; `no_speech_prob` is not measured and always 0."""

    id: int
    seek: int
    start: float
    end: float
    text: str
    tokens: list[int]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float = 0.0


class VerboseTranscript(Struct):
    """The words and their times. `language` is an ISO 639-1 code."""

    task: str
    language: str
    duration: float
    text: str
    segments: list[TranscriptSegment]
    usage: Duration


class TextDelta(Struct, tag="transcript.text.delta"):
    """The next words of a stream."""

    delta: str


class TextDone(Struct, tag="transcript.text.done"):
    """The end of a stream, with all of its words."""

    text: str
    usage: TokenUsage


def transcript(outcome: Outcome, request: TranscriptionRequest, shape: str) -> tuple[Headers, bytes]:
    """A whole answer in the shape that was asked for, and its headers."""
    text = words(outcome.answers[0].text if outcome.answers else "")
    seconds = Duration(math.ceil(outcome.usage.seconds))
    lines: list[Line] = [(segment.start, segment.end, segment.text) for segment in outcome.segments]
    match shape:
        case "text":
            return PLAIN, f"{text}\n".encode()
        case "srt":
            return PLAIN, srt(lines).encode()
        case "vtt":
            return VTT, vtt(lines).encode()
        case "verbose_json":
            return JSON, msgspec.json.encode(_verbose(outcome, request, text, seconds))
        case _:
            return JSON, msgspec.json.encode(Transcript(text, seconds))


def words(text: str) -> str:
    """A transcript as it is shown: models begin theirs with a space."""
    return text.strip()


def _verbose(outcome: Outcome, request: TranscriptionRequest, text: str, usage: Duration) -> VerboseTranscript:
    heard = next((segment.language for segment in outcome.segments if segment.language), None)
    temperature = request.temperature or 0.0
    return VerboseTranscript(
        task=request.task,
        language="en" if request.task == "translate" else heard or request.language or UNKNOWN,
        duration=outcome.usage.seconds,
        text=text,
        segments=[_segment(number, each, temperature) for number, each in enumerate(outcome.segments)],
        usage=usage,
    )


def _segment(number: int, segment: Segment, temperature: float) -> TranscriptSegment:
    data = segment.text.encode()
    return TranscriptSegment(
        id=number,
        seek=int(segment.start * 100),
        start=segment.start,
        end=segment.end,
        text=segment.text,
        tokens=list(segment.tokens),
        temperature=temperature,
        avg_logprob=segment.logprob,
        compression_ratio=len(data) / len(zlib.compress(data)),
    )


class TranscriptFrames:
    """A stream's events; the words of all deltas together are those of the last event."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.usage = Usage()

    def render(self, event: Event) -> bytes:
        match event:
            case Delta(text=text):
                text = text if self.said else text.lstrip()
                if not text:
                    return b""
                self.said.append(text)
                return _frame(TextDelta(text))
            case Usage():
                self.usage = event
                return b""
            case (
                Answering()
                | Progress()
                | PromptLogprobs()
                | Embedding()
                | Relayed()
                | Score()
                | Segment()
                | Tokens()
                | Sound()
                | Picture()
                | Finish()
            ):
                return b""
            case _:
                assert_never(event)

    def end(self) -> bytes:
        usage = self.usage
        tokens = TokenUsage(usage.prompt, usage.completion, usage.prompt + usage.completion)
        return _frame(TextDone("".join(self.said), tokens))


def _frame(event: TextDelta | TextDone) -> bytes:
    return b"data: %s\n\n" % msgspec.json.encode(event)
