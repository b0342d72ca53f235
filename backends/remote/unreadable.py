"""What an upstream sent is no answer."""

from __future__ import annotations


class Unreadable(Exception):
    """The server behind this model sent an answer that cannot be understood."""

    def __init__(self, message: str | None = None) -> None:
        self.message = message or type(self).__doc__ or ""
        super().__init__(self.message)
