"""Small HTTP questions to a server, with the standard library alone, so that the command starts at once."""

from __future__ import annotations

import http.client
import ssl
import urllib.parse
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

import msgspec

from openai_proxy.cli import address
from openai_proxy.cli.ending import Ending
from openai_proxy.cli.plain import one_line

LARGEST = 16_000_000


class Refused(Ending):
    """The server answered with an error; `status` says which, and so does `why`, the code of the error."""

    def __init__(self, url: str, status: int, body: bytes) -> None:
        self.status = status
        self.why = told(body, "code")
        message = told(body, "message") or body.decode(errors="replace")
        super().__init__(f"{url} answered {status}: {one_line(message)}")


class BrokenOff(Ending):
    """The connection was lost in the middle of an answer."""


def told(body: bytes, field: str) -> str | None:
    """What an error body in OpenAI's shape has there."""
    try:
        return str(msgspec.json.decode(body)["error"][field])
    except (msgspec.DecodeError, KeyError, TypeError):
        return None


class Event(NamedTuple):
    """A server-sent event; `id` is empty where it has none."""

    name: str
    data: bytes
    id: str = ""


@contextmanager
def opened(
    url: str, who: address.Who, timeout: float | None = 10, method: str = "GET", last: str = ""
) -> Iterator[http.client.HTTPResponse]:
    """The answer to a question without a body, its own unread; `last` is the id of the last event that one has.

    Raises Refused for a status over 299, Ending when nobody answers, BrokenOff when the answer has no end.
    """
    parts = urllib.parse.urlsplit(url)
    https = parts.scheme == "https"
    kind = http.client.HTTPSConnection if https else http.client.HTTPConnection
    headers = {"accept": "*/*", **who}
    headers |= {"last-event-id": last} if last else {}
    failure = Ending
    with closing(kind(parts.hostname or "", parts.port, timeout=timeout)) as connection:
        try:
            connection.request(method, parts.path + (f"?{parts.query}" if parts.query else ""), headers=headers)
            answer = connection.getresponse()
            if answer.status >= 300:
                raise Refused(url, answer.status, answer.read(LARGEST))
            failure = BrokenOff
            yield answer
        except ConnectionRefusedError as error:
            raise address.refused(url) from error
        except (OSError, ssl.SSLError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or error or type(error).__name__
            raise failure(f"{url} cannot be read: {reason}") from error


def json(url: str, who: address.Who) -> Any:
    """The JSON that GET `url` answers."""
    with opened(url, who) as answer:
        return _decoded(answer, url)


def post(url: str, who: address.Who) -> tuple[int, Any]:
    """The status and the JSON that POST `url` answers; it may take as long as the server lets it."""
    with opened(url, who, timeout=None, method="POST") as answer:
        return answer.status, _decoded(answer, url)


def _decoded(answer: http.client.HTTPResponse, url: str) -> Any:
    try:
        return msgspec.json.decode(answer.read(LARGEST))
    except msgspec.DecodeError as error:
        raise Ending(f"{url} answered something else than JSON") from error


def events(url: str, who: address.Who, last: str = "") -> Iterator[Event]:
    """Each server-sent event of GET `url`, from the one after the id `last`, until the server ends the stream."""
    with opened(url, who, timeout=120, last=last) as answer:
        name, id, data = "message", "", []
        while line := answer.readline(LARGEST):
            field, _, value = line.rstrip(b"\r\n").partition(b":")
            if field == b"event":
                name = value.strip().decode(errors="replace")
            elif field == b"id":
                id = value.strip().decode("latin-1")
            elif field == b"data":
                data.append(value.removeprefix(b" "))
            elif not field and not value and data:
                yield Event(name, b"\n".join(data), id)
                name, id, data = "message", "", []
