"""What can go wrong between us and an upstream. The class docstring is the default message.

HttpError
├── NotConnected      refused, unreachable, no such name, TLS refused, or too slow: the request was not sent
├── Stale             a kept-alive connection that the other side had closed: the request may be sent again on a new one
├── Broken            closed or reset before the answer, or in it
├── Malformed         what came is not HTTP/1.1, or its head has no end
└── AnswerTooLarge    the body is longer than the caller takes
"""

from __future__ import annotations

import socket
import ssl


class HttpError(Exception):
    """The upstream could not be asked."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or type(self).__doc__)

    @property
    def reason(self) -> str:
        """What went wrong and why, for operators."""
        cause = self.__cause__
        match cause:
            case None:
                return str(self)
            case ssl.SSLCertVerificationError():
                why = f"certificate verify failed: {cause.verify_message}"
            case ssl.SSLError():
                why = f"TLS: {(cause.reason or 'failed').replace('_', ' ').lower()}"
            case TimeoutError():
                why = "timed out"
            case socket.gaierror() | OSError():
                why = cause.strerror or str(cause)
            case _:
                why = type(cause).__name__
        return f"{self} ({why})"


class NotConnected(HttpError):
    """No connection to the upstream could be made."""


class Stale(HttpError):
    """The upstream had closed this kept-alive connection."""


class Broken(HttpError):
    """The upstream closed the connection before its answer was complete."""


class Malformed(HttpError):
    """The upstream's answer is not HTTP/1.1."""


class AnswerTooLarge(HttpError):
    """The upstream's answer is longer than what is taken."""
