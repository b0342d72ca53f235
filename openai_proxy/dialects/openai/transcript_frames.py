"""Transcripts as streams: OpenAI's events, and h2oGPT's, which are asked for by the field `chunk`."""

from __future__ import annotations

from typing import assert_never

import msgspec
from msgspec import UNSET, Struct, UnsetType

from backends.events import (
    Answering,
    Delta,
    Embedding,
    Event,
    Finish,
    Picture,
    Progress,
    PromptLogprobs,
    Relayed,
    Score,
    Segment,
    Sound,
    Tokens,
    Usage,
    Word,
)
from openai_proxy.dialects.openai.transcripts import TokenLogprob, logprobs, words

# h2oGPT's own: a pause that ends a piece, and how long a piece is, in seconds.
PAUSE = 0.5
INTERVAL = 10.0


class TokenUsage(Struct, tag="tokens"):
    """Tokens read and written."""

    input_tokens: int
    output_tokens: int
    total_tokens: int


class TextDelta(Struct, tag="transcript.text.delta"):
    """The next words of a stream."""

    delta: str
    logprobs: list[TokenLogprob] | UnsetType = UNSET


class TextSegment(Struct, tag="transcript.text.segment"):
    """When the words that just came were said. Speakers are not told apart: `speaker` is empty."""

    id: str
    start: float
    end: float
    text: str
    speaker: str = ""


class TextDone(Struct, tag="transcript.text.done"):
    """The end of a stream, with all of its words."""

    text: str
    usage: TokenUsage
    logprobs: list[TokenLogprob] | UnsetType = UNSET


class Piece(Struct):
    """New words in h2oGPT's form, with their own spaces."""

    text: str


class Saying:
    """The words of a stream as they may be shown: without space before the first and after the last one."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self._space = ""

    def add(self, text: str) -> str:
        """What can be shown now."""
        text = self._space + text if self.said else text.lstrip()
        shown = text.rstrip()
        self._space = text[len(shown) :]
        if shown:
            self.said.append(shown)
        return shown


class TranscriptFrames:
    """OpenAI's events; the words of all deltas together are those of the last one."""

    def __init__(self, *, with_logprobs: bool = False) -> None:
        self._saying = Saying()
        self._segments = 0
        self._usage = Usage()
        self._logprobs: list[TokenLogprob] | UnsetType = [] if with_logprobs else UNSET

    def render(self, event: Event) -> bytes:
        match event:
            case Delta():
                return self._delta(event)
            case Segment():
                self._segments += 1
                return _frame(TextSegment(f"seg_{self._segments}", event.start, event.end, words(event.text)))
            case Usage():
                self._usage = event
                return b""
            case (
                Answering()
                | Progress()
                | PromptLogprobs()
                | Embedding()
                | Relayed()
                | Score()
                | Tokens()
                | Sound()
                | Picture()
                | Finish()
            ):
                return b""
            case _:
                assert_never(event)

    def _delta(self, event: Delta) -> bytes:
        found: list[TokenLogprob] | UnsetType = UNSET
        if self._logprobs is not UNSET:
            found = logprobs(event.logprobs)
            self._logprobs += found
        text = self._saying.add(event.text)
        return _frame(TextDelta(text, found)) if text or found else b""

    def end(self) -> bytes:
        usage = self._usage
        tokens = TokenUsage(usage.prompt, usage.completion, usage.prompt + usage.completion)
        return _frame(TextDone("".join(self._saying.said), tokens, self._logprobs))


class PieceFrames:
    """h2oGPT's events: one a piece. `chunk` says where a piece ends: "none", "silence", "interval" or milliseconds.

    Words are never cut: a piece ends with the word, or where the engine does not time those the segment, after which
    the next one is another piece's.
    """

    def __init__(self, chunk: str) -> None:
        self._whole = chunk == "none"
        self._interval = int(chunk) / 1000 if chunk.isdecimal() else INTERVAL if chunk == "interval" else None
        self._saying = Saying()
        self._held = ""
        self._end = 0.0
        self._place = 0

    def render(self, event: Event) -> bytes:
        if self._whole and isinstance(event, Delta):
            self._held += event.text
        elif not self._whole and isinstance(event, Segment):
            timed = event.words if "".join(word.text for word in event.words) == event.text else ()
            return b"".join(map(self._take, timed or [Word(event.text, event.start, event.end)]))
        return b""

    def _take(self, word: Word) -> bytes:
        place = 0 if self._interval is None else int(word.start // self._interval)
        ends = word.start - self._end >= PAUSE if self._interval is None else place != self._place
        done = self.end() if ends else b""
        self._held += word.text
        self._end, self._place = word.end, place
        return done

    def end(self) -> bytes:
        text, self._held = self._saying.add(self._held), ""
        return _frame(Piece(text)) if text else b""


def _frame(event: TextDelta | TextSegment | TextDone | Piece) -> bytes:
    return b"data: %s\n\n" % msgspec.json.encode(event)
