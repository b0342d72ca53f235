"""A model that hears the same in every sound, with all that an engine can tell of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from backends import Model, Setup, State
from backends.events import Delta, Event, Finish, Progress, Segment, TokenLogprob, Usage, Word
from backends.requests import Request, TranscriptionRequest

# What is said, and when: a pause of a second before the third word, and of four before the last one.
SAID = (
    ((" One", 0.5, 1.0), (" two", 1.0, 1.4)),
    ((" three.", 2.4, 3.0),),
    ((" Four", 7.0, 7.5), (" five. ", 11.5, 12.0)),
)
TEXT = "One two three. Four five."


class Listener:
    """Each segment's words; with detection before them what it is told of that."""

    model = Model(
        kinds=frozenset({"transcription"}),
        parameters=frozenset(
            {"language", "prompt", "temperature", "segment_timestamps", "word_timestamps"}
            | {"server_vad", "transcript_logprobs"}
        ),
    )

    def __init__(self, setup: Setup) -> None:
        self.slots = 8
        self.state = State("ready")

    async def start(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        assert isinstance(request, TranscriptionRequest)
        yield Progress(0.0)
        if request.detection is not None:
            found = request.detection
            yield Delta(f"{found.threshold:g} {found.silence:g} {found.padding:g}{' louder' * found.normalised}")
        for said in SAID:
            text = "".join(word for word, _, _ in said)
            tokens = tuple(TokenLogprob(word, -0.5, word.encode()) for word, _, _ in said)
            yield Delta(text, logprobs=tokens if request.logprobs else None)
            words = tuple(Word(*word) for word in said) if "word" in request.timestamps else ()
            yield Segment(said[0][1], said[-1][2], text, (7,), -0.25, "en", words, temperature=0.4, silence=0.125)
        yield Finish("stop")
        yield Usage(prompt=3, completion=5, seconds=12.5)
