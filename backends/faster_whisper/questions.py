"""What the engine is asked in its process, and what it tells of itself."""

from __future__ import annotations

from msgspec import Struct

from backends.requests import Detection


class Wanted(Struct, frozen=True, kw_only=True, tag=True):
    """Write down 16-bit mono PCM of 16,000 samples a second, which begins at `begin` seconds. Answered by Segments.

    `prompt` is text or tokens that came before; `language` is found out if None.
    """

    pcm: bytes
    begin: float
    language: str | None
    task: str
    prompt: str | tuple[int, ...] | None
    temperature: float | None
    words: bool
    detection: Detection | None


class Count(Struct, frozen=True, tag=True):
    """How many tokens of a prompt are read. Answered by one Counted."""

    prompt: str


class Counted(Struct, frozen=True, tag=True):
    """Tokens."""

    tokens: int


class About(Struct, frozen=True):
    """The languages that the model knows, by their codes, and whether it translates."""

    languages: frozenset[str]
    translates: bool
