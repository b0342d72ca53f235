"""What can go wrong between us and an upstream. The class docstring is the default message.

HttpError
├── NotConnected      refused, unreachable, no such name, TLS refused, or too slow: the request was not sent
├── Stale             a kept-alive connection that the other side had closed: the request may be sent again on a new one
├── Broken            closed or reset before the answer, or in it
├── Malformed         what came is not HTTP/1.1, or its head has no end
└── AnswerTooLarge    the body is longer than the caller takes
"""

from __future__ import annotations

import os
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
        for wrapped in ("certificate_error", "os_error"):  # as aiohttp keeps them
            cause = getattr(cause, wrapped, cause)
        return str(self) if cause is None else f"{self} ({_why(cause)})"


def _why(cause: BaseException) -> str:
    match cause:
        case ssl.SSLCertVerificationError():
            return f"certificate verify failed: {cause.verify_message}"
        case ssl.SSLError():
            return f"TLS: {(cause.reason or 'failed').replace('_', ' ').lower()}"
        case socket.gaierror():
            return cause.strerror or "no such name"
        case TimeoutError():
            return "timed out"
        case OSError() if cause.errno:
            return os.strerror(cause.errno)
        case _:
            return type(cause).__name__


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
