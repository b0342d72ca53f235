"""HTTP to llama.cpp's server over its Unix socket, and what its answers mean.

Every call takes a new connection: the server closes kept-alive ones under the client, and a new one over a Unix
socket costs next to nothing. Closing a stream early closes its connection, and with it the work in the engine.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, NoReturn, TypeVar

import aiohttp
import msgspec
from msgspec import Struct

from backends.errors import ContextExceeded, EngineFailed, Refused, Unavailable, Unsupported

T = TypeVar("T")

# One event with 20 alternatives is a few kB; a whole grammar comes back in the last event of /completion.
LARGEST_LINE = 4_000_000
NEVER = aiohttp.ClientTimeout(total=None)


class Problem(Struct, frozen=True):
    """The `error` object of the engine."""

    code: int = 500
    message: str = ""
    type: str = ""


class Failed(Struct, frozen=True):
    """An answer that is an error."""

    error: Problem | None = None


class Client:
    """Calls to one engine. Raises Unavailable when nobody listens, EngineFailed when the engine breaks off."""

    def __init__(self, socket: str, key: str) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(path=socket, limit=0, force_close=True),
            headers={"authorization": f"Bearer {key}", "content-type": "application/json"},
            timeout=NEVER,
            read_bufsize=1 << 20,
        )

    async def close(self) -> None:
        await self._session.close()

    def _check(self) -> None:
        """The engine may have died between two calls of one request."""
        if self._session.closed:
            raise Unavailable

    async def get(self, path: str, kind: type[T], *, seconds: float | None = None) -> T:
        """The answer to a GET. Raises TimeoutError after `seconds`."""
        self._check()
        timeout = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._session.get(f"http://engine{path}", timeout=timeout) as answer:
                return _decoded(await answer.read(), answer.status, kind)
        except aiohttp.ClientConnectorError as error:
            raise Unavailable from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise EngineFailed from error

    async def post(self, path: str, body: Mapping[str, Any], kind: type[T]) -> T:
        """The whole answer to a POST."""
        self._check()
        data = msgspec.json.encode(body)
        try:
            async with self._session.post(f"http://engine{path}", data=data) as answer:
                return _decoded(await answer.read(), answer.status, kind)
        except aiohttp.ClientConnectorError as error:
            raise Unavailable from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise EngineFailed from error

    async def stream(self, path: str, body: Mapping[str, Any]) -> AsyncGenerator[bytes, None]:
        """The JSON of each event of a streamed POST. An error before the first event is raised as such."""
        self._check()
        data = msgspec.json.encode(body)
        try:
            async with self._session.post(f"http://engine{path}", data=data) as answer:
                if answer.status != 200:
                    _fail(await answer.read(), answer.status)
                async for line in _lines(answer.content):
                    if line.startswith(b"data: {"):
                        yield line[6:]
                    elif line.startswith(b"error: "):
                        _fail(b'{"error":' + line[7:] + b"}", 500)
        except aiohttp.ClientConnectorError as error:
            raise Unavailable from error
        except (aiohttp.ClientError, ConnectionError) as error:
            raise EngineFailed from error


async def _lines(content: aiohttp.StreamReader) -> AsyncGenerator[bytes, None]:
    """Lines of any length up to LARGEST_LINE, without their ends."""
    rest = b""
    async for data in content.iter_any():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield line
        if len(rest) > LARGEST_LINE:
            raise EngineFailed("The engine sent an answer of unbounded length.")
    if rest:
        yield rest


def _decoded(body: bytes, status: int, kind: type[T]) -> T:
    if status != 200:
        _fail(body, status)
    return decode(body, kind)


def decode(body: bytes, kind: type[T]) -> T:
    """JSON of the engine's. Raises EngineFailed for what is not of the expected form."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.DecodeError as error:
        raise EngineFailed("The engine's answer was not understood.") from error


def _fail(body: bytes, status: int) -> NoReturn:
    try:
        problem = msgspec.json.decode(body, type=Failed).error or Problem(status)
    except msgspec.DecodeError:
        problem = Problem(status)
    fail(problem)


def fail(problem: Problem) -> NoReturn:
    """Raise what an error of the engine means."""
    if problem.type == "exceed_context_size_error":
        raise ContextExceeded
    if problem.code == 501:
        raise Unsupported(problem.message)
    if problem.code == 503:
        raise Unavailable
    if 400 <= problem.code < 500:
        raise Refused(problem.message)
    raise EngineFailed
