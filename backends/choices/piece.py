"""What one output of an engine adds to a choice."""

from __future__ import annotations

from msgspec import Struct

from backends.events import Reason, TokenLogprob, ToolDelta


class Piece(Struct, frozen=True):
    """What one engine event adds to a choice; the counts are totals so far, in tokens."""

    text: str = ""
    reasoning: str = ""
    tools: tuple[ToolDelta, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()
    reason: Reason | None = None
    prompt: int = 0
    cached: int = 0
    written: int = 0
