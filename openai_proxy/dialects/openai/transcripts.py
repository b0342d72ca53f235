"""Whole transcripts as clients read them: JSON, text and subtitles."""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Sequence

import msgspec
from msgspec import UNSET, Struct, UnsetType

from audio.subtitles import Line, srt, vtt
from backends import events
from backends.events import Outcome, Segment
from backends.requests import Granularity, TranscriptionRequest
from openai_proxy.wire import JSON, Headers

PLAIN: Headers = ((b"content-type", b"text/plain; charset=utf-8"),)
VTT: Headers = ((b"content-type", b"text/vtt; charset=utf-8"),)
UNKNOWN = "unknown"


class Duration(Struct, tag="duration"):
    """How long the sound was; whole seconds, as they are billed."""

    seconds: int


class TokenLogprob(Struct):
    """A token that was written, and how sure the model was of it (natural logarithm)."""

    token: str
    bytes: list[int]
    logprob: float


class Transcript(Struct):
    """The words."""

    text: str
    usage: Duration
    logprobs: list[TokenLogprob] | UnsetType = UNSET


class TranscriptWord(Struct):
    """A word and its times."""

    word: str
    start: float
    end: float


class TranscriptSegment(Struct):
    """Some of the words with their times; `no_speech_prob` is 0 where the engine does not measure it."""

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
    """The words and their times, of the granularities that were asked for. `language` is an ISO 639-1 code."""

    task: str
    language: str
    duration: float
    text: str
    usage: Duration
    segments: list[TranscriptSegment] | UnsetType = UNSET
    words: list[TranscriptWord] | UnsetType = UNSET


def transcript(
    outcome: Outcome, request: TranscriptionRequest, shape: str, granularities: Collection[Granularity]
) -> tuple[Headers, bytes]:
    """A whole answer in the shape and with the times that were asked for, and its headers."""
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
            return JSON, msgspec.json.encode(_verbose(outcome, request, text, granularities))
        case _:
            found = outcome.answers[0].logprobs if outcome.answers else None
            return JSON, msgspec.json.encode(Transcript(text, seconds, logprobs(found) if request.logprobs else UNSET))


def words(text: str) -> str:
    """A transcript as it is shown: models begin theirs with a space."""
    return text.strip()


def logprobs(entries: Sequence[events.TokenLogprob] | None) -> list[TokenLogprob]:
    """The same in OpenAI's shape for transcripts."""
    return [TokenLogprob(entry.token, list(entry.data), entry.logprob or 0.0) for entry in entries or ()]


def _verbose(
    outcome: Outcome, request: TranscriptionRequest, text: str, granularities: Collection[Granularity]
) -> VerboseTranscript:
    heard = next((segment.language for segment in outcome.segments if segment.language), None)
    temperature = request.temperature or 0.0
    made = VerboseTranscript(
        task=request.task,
        language="en" if request.task == "translate" else heard or request.language or UNKNOWN,
        duration=outcome.usage.seconds,
        text=text,
        usage=Duration(math.ceil(outcome.usage.seconds)),
    )
    if "segment" in granularities:
        made.segments = [_segment(number, each, temperature) for number, each in enumerate(outcome.segments)]
    if "word" in granularities:
        said = (word for segment in outcome.segments for word in segment.words)
        made.words = [TranscriptWord(word.text.strip(), word.start, word.end) for word in said]
    return made


def _segment(number: int, segment: Segment, temperature: float) -> TranscriptSegment:
    data = segment.text.encode()
    return TranscriptSegment(
        id=number,
        seek=int(segment.start * 100),
        start=segment.start,
        end=segment.end,
        text=segment.text,
        tokens=list(segment.tokens),
        temperature=temperature if segment.temperature is None else segment.temperature,
        avg_logprob=segment.logprob,
        compression_ratio=len(data) / len(zlib.compress(data)),
        no_speech_prob=segment.silence,
    )
