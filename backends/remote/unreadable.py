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


def is_utf8(data: bytes) -> bool:
    """Whether this is UTF-8. Texts are skipped when JSON is read, and with them what is in them."""
    try:
        return data.isascii() or bool(data.decode())
    except UnicodeDecodeError:
        return False


def check_utf8(data: bytes) -> None:
    """Raises Unreadable where this is no UTF-8."""
    if not is_utf8(data):
        raise Unreadable
