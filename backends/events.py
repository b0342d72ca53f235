"""What an engine answers: a stream of events, and what a finished stream amounts to.

A backend's `run` yields events in this order: any Progress, then Delta, Segment, Embedding, Score, Sound or Picture,
one Finish a choice of text, one Usage last; in long work Progress may come between the others too. PromptLogprobs come
before the first Delta of their choice. Only a tokenizer's answer is one Tokens alone. A server behind this one may
answer with Relayed, then Usage. Failure is always an exception, never an event.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Literal, TypeAlias, TypeVar

from msgspec import Struct, field

T = TypeVar("T")
Reason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


class Alternative(Struct, frozen=True):
    """A token that could have stood there; `data` are its bytes, which may be a part of a character."""

    token: str
    logprob: float
    data: bytes


class TokenLogprob(Struct, frozen=True):
    """The token that was chosen, its log probability (natural logarithm) and the likeliest alternatives.

    Nothing comes before the first token of an echoed prompt: its log probability is None. `data` is what the token adds
    to the text, so nothing for one that does not show in it.
    """

    token: str
    logprob: float | None
    data: bytes
    top: tuple[Alternative, ...] = ()


class ToolDelta(Struct, frozen=True):
    """A piece of a tool call. `id` and `name` come once, whole, with the first piece of call `position`."""

    position: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class Progress(Struct, frozen=True, tag=True):
    """Work that has no words yet; `fraction` from 0 to 1."""

    fraction: float
    note: str = ""


class Delta(Struct, frozen=True, tag=True):
    """The next piece of choice `index`: text, reasoning or a piece of a tool call."""

    text: str = ""
    index: int = 0
    reasoning: str = ""
    tool: ToolDelta | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None


class Candidate(Struct, frozen=True):
    """A token of the vocabulary at a place of the prompt; `rank` is 1 for the likeliest."""

    token: int
    logprob: float
    rank: int | None
    text: str


class PromptLogprobs(Struct, frozen=True, tag=True):
    """Candidates at each place of the prompt of choice `index`: the token itself first; None where nothing precedes."""

    places: tuple[tuple[Candidate, ...] | None, ...]
    index: int = 0


class Finish(Struct, frozen=True, tag=True):
    """Choice `index` is complete."""

    reason: Reason
    index: int = 0


class Embedding(Struct, frozen=True, tag=True):
    """The vector of input `index`: float32, native byte order."""

    vector: bytes
    index: int = 0


class Score(Struct, frozen=True, tag=True):
    """How well document `index` answers its query: the higher the better, on a scale of the model's own."""

    value: float
    index: int = 0


class Tokens(Struct, frozen=True, tag=True):
    """Tokens by their ids. `strings` are they as the tokenizer writes them and `text` is theirs, where asked for."""

    ids: tuple[int, ...]
    strings: tuple[str, ...] | None = None
    text: str = ""


class Word(Struct, frozen=True):
    """A word with the space before it, if there is one, and when it was said, in seconds from the beginning."""

    text: str
    start: float
    end: float


class Segment(Struct, frozen=True, tag=True):
    """Words that were said between two times, in seconds from the beginning; the same words came as Delta.

    `tokens` are the model's, `logprob` is their mean (natural logarithm); `language` is an ISO 639-1 code. `words` are
    all of its text, where they were asked for. `temperature` is the one that was used, where the engine may change it;
    `silence` the probability that nothing is said here.
    """

    start: float
    end: float
    text: str
    tokens: tuple[int, ...] = ()
    logprob: float = 0.0
    language: str = ""
    words: tuple[Word, ...] = ()
    temperature: float | None = None
    silence: float = 0.0


class Sound(Struct, frozen=True, tag=True):
    """The next piece of what is said: 16-bit mono PCM, little-endian, `rate` samples a second, the same in one answer.

    `ends` says that a sentence ends with it.
    """

    data: bytes
    rate: int
    ends: bool = False


class Picture(Struct, frozen=True, tag=True):
    """Picture `index`, as a PNG; `partial` counts from 0 the unfinished ones that come before it."""

    data: bytes
    index: int = 0
    partial: int | None = None


class Usage(Struct, frozen=True, tag=True):
    """Tokens read and written by the whole request; `cached` of the prompt's came out of a cache.

    `seconds` is how long the sound was that a transcription heard, or that was said; `pictures` of the prompt's were
    those of pictures.
    """

    prompt: int = 0
    completion: int = 0
    cached: int = 0
    reasoning: int = 0
    seconds: float = 0.0
    pictures: int = 0


class Answering(Struct, frozen=True, tag=True):
    """Another model answers in place of the one that was asked; comes before everything else."""

    model: str


class Relayed(Struct, frozen=True, tag=True):
    """A piece of an answer that another server of OpenAI's API wrote, for requests that have a `form`.

    `data` are whole server-sent events without the end mark, with what the client did not ask for left out; or all of
    a JSON body; or the next bytes of an encoded sound. `pieces` is how many events of the engine it stands for: about
    as many tokens, 0 where that means nothing. Usage follows as an event of its own.
    """

    data: bytes
    pieces: int = 1


Event: TypeAlias = (
    Answering
    | Relayed
    | Progress
    | PromptLogprobs
    | Delta
    | Finish
    | Embedding
    | Score
    | Segment
    | Tokens
    | Sound
    | Picture
    | Usage
)


class Call(Struct):
    """A whole tool call."""

    id: str = ""
    name: str = ""
    arguments: str = ""


class Answer(Struct):
    """A whole choice."""

    text: str = ""
    reasoning: str = ""
    calls: list[Call] = field(default_factory=list)
    logprobs: list[TokenLogprob] | None = None
    reason: Reason | None = None
    prompt: PromptLogprobs | None = None


class Outcome(Struct):
    """What a finished stream amounts to: choices, vectors, scores and finished pictures in order of their index,
    segments as they came.

    Or all of it in one piece, `relayed`, as another server wrote it. `model` is the one that answered, if not the one
    that was asked.
    """

    answers: list[Answer]
    vectors: list[bytes]
    usage: Usage
    scores: list[float] = field(default_factory=list)
    tokens: Tokens | None = None
    segments: list[Segment] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)
    relayed: bytes | None = None
    model: str | None = None

    @classmethod
    async def of(cls, events: AsyncGenerator[Event]) -> Outcome:
        """Gather a stream to its end and close it. Raises what the stream raises."""
        gathered = cls([], [], Usage())
        texts: list[list[str]] = []
        try:
            async for event in events:
                if type(event) is Delta:
                    while event.index >= len(texts):
                        texts.append([])
                    texts[event.index].append(event.text)
                    if event.reasoning or event.tool is not None or event.logprobs is not None:
                        _extend(gathered.answer(event.index), event)
                elif type(event) is Finish:
                    gathered.answer(event.index).reason = event.reason
                elif type(event) is Usage:
                    gathered.usage = event
                else:
                    gathered._take(event)
        finally:
            await events.aclose()
        for index, pieces in enumerate(texts):
            gathered.answer(index).text = "".join(pieces)
        return gathered

    def _take(self, event: Event) -> None:
        """What is not an answer's own words."""
        if type(event) is Embedding:
            _put(self.vectors, event.index, event.vector, b"")
        elif type(event) is Score:
            _put(self.scores, event.index, event.value, 0.0)
        elif type(event) is Answering:
            self.model = event.model
        elif type(event) is Relayed:
            self.relayed = event.data
        elif type(event) is Tokens:
            self.tokens = event
        elif type(event) is Segment:
            self.segments.append(event)
        elif type(event) is Picture and event.partial is None:
            _put(self.pictures, event.index, event.data, b"")
        elif type(event) is PromptLogprobs:
            self.answer(event.index).prompt = event

    def answer(self, index: int) -> Answer:
        """The choice of that index; those before it exist too."""
        while index >= len(self.answers):
            self.answers.append(Answer())
        return self.answers[index]


def _put(items: list[T], index: int, item: T, filling: T) -> None:
    while index >= len(items):
        items.append(filling)
    items[index] = item


def _extend(answer: Answer, delta: Delta) -> None:
    answer.reasoning += delta.reasoning
    if delta.logprobs is not None:
        answer.logprobs = [*(answer.logprobs or ()), *delta.logprobs]
    if delta.tool is not None:
        extend_calls(answer.calls, delta.tool)


def extend_calls(calls: list[Call], piece: ToolDelta) -> None:
    """Add a piece to the call it belongs to, opening that call when the piece is its first."""
    while len(calls) <= piece.position:
        calls.append(Call())
    call = calls[piece.position]
    call.id = piece.id or call.id
    call.name = piece.name or call.name
    call.arguments += piece.arguments


def total(usages: Sequence[Usage]) -> Usage:
    """The sum of several usages."""
    return Usage(
        prompt=sum(usage.prompt for usage in usages),
        completion=sum(usage.completion for usage in usages),
        cached=sum(usage.cached for usage in usages),
        reasoning=sum(usage.reasoning for usage in usages),
        seconds=sum(usage.seconds for usage in usages),
        pictures=sum(usage.pictures for usage in usages),
    )
