"""How a command ends early: one clear line on standard error and an exit code."""

from __future__ import annotations

FAILED = 1
MISUSED = 2
INTERRUPTED = 130
PIPE_CLOSED = 141


class Ending(Exception):
    """The command cannot go on; the text is what its user is told."""

    def __init__(self, message: str, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code
