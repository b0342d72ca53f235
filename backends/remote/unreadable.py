"""What an upstream sent is no answer."""

from __future__ import annotations

ENDED_EARLY = "The server behind this model ended its answer too early."
NO_ANSWER = "The server behind this model sent something that is no answer of OpenAI's API."
NOT_UNDERSTOOD = "The server behind this model sent an event that cannot be understood."


class Unreadable(Exception):
    """The server behind this model sent an answer that cannot be understood."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or type(self).__doc__ or ""
        super().__init__(self.message)
