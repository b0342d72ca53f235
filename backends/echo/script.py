"""What the echo model can be told to do."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from backends import Modality

# Characters that one answer may have.
LARGEST = 256_000_000
NonNegative = Annotated[float, Meta(ge=0, le=3600)]
Amount = Annotated[int, Meta(ge=0, le=1_000_000)]


class ScriptedCall(Struct, frozen=True, forbid_unknown_fields=True):
    """A tool call to make; `arguments` is JSON text."""

    name: str
    arguments: str = "{}"


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """What to do. Delays in seconds; `size` is characters of a chunk; `after` counts events before the fault.

    `fail`: "early" before the first event, "unavailable" as an engine that is restarting, "late" in the middle.
    `stall`: go silent after `after` events. `flood`: send chunks of 1 kB as fast as they are taken, 256 MB in all.
    """

    first_delay: NonNegative = 0.0
    delay: NonNegative = 0.0
    chunks: Amount | None = None
    size: Annotated[int, Meta(ge=1, le=1_000_000)] = 8
    text: str | None = None
    calls: tuple[ScriptedCall, ...] = ()
    fail: Literal["early", "unavailable", "late"] | None = None
    stall: bool = False
    flood: bool = False
    after: Amount = 0

    def __post_init__(self) -> None:
        if (self.chunks or 0) * self.size > LARGEST:
            raise ValueError(f"chunks times size is more than {LARGEST} characters")


class Options(Script, frozen=True, forbid_unknown_fields=True):
    """The script of requests that bring none; `load` is how many seconds `start` takes.

    `modalities` are the parts that the model takes beside text.
    """

    load: NonNegative = 0.0
    modalities: frozenset[Modality] = frozenset({"image", "audio"})
