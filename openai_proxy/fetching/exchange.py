"""One request over one connection to an address that was checked. `httpcore2` speaks HTTP; it knows no proxies,
redirects, cookies or codings, and reads nothing of the environment.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, contextmanager

import httpcore2
from httpcore2 import AsyncHTTP11Connection, AsyncNetworkStream, Response
from msgspec import Struct

from openai_proxy.fetching import NotFetched
from openai_proxy.fetching.address import Address

HEADERS = (
    (b"User-Agent", b"openai-proxy"),
    (b"Accept", b"*/*"),
    (b"Accept-Encoding", b"identity"),
    (b"Connection", b"close"),
)
# What is read of an answer that nobody wants: whoever writes it should not find the connection cut in the middle.
GLIMPSE, GLIMPSE_TIME = 1024, 0.5
# What a first look is taken at.
BEGINNING = 16
# Each piece costs work whatever its size: so many may be small, the others have so many bytes on average.
SMALL_PIECES, WHOLESOME = 256, 512
BREATH = 64
# Of the head, with any that only say to wait; and beside the body, for the marks between its pieces.
MOST_OF_HEAD, MARKS = 32_768, 65_536


class Question(Struct, frozen=True):
    """What is asked; the host comes by itself, the length of a body does not."""

    method: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""


GET = Question(b"GET", HEADERS)


class Metered(AsyncNetworkStream):
    """A connection that gives `left` more bytes: what reads HTTP takes heads and marks between pieces without end."""

    def __init__(self, stream: AsyncNetworkStream, left: int) -> None:
        self.left = left
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self.left <= 0:
            raise NotFetched("malformed", "its head, or the marks between its pieces, have no end")
        data = await self._stream.read(min(max_bytes, self.left), timeout)
        self.left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()


@asynccontextmanager
async def asked(
    address: Address,
    ips: Sequence[str],
    context: ssl.SSLContext | None,
    until: float,
    most: int,
    question: Question = GET,
) -> AsyncGenerator[Response, None]:
    """The answer at one of `ips`, of which only the head was read. Raises NotFetched.

    The connection, its TLS included, has to be there at `until` (monotonic seconds); of the body `most` bytes are there
    to be read, and their framing; with 0 no more than a glimpse.
    """
    with telling():
        stream = Metered(await _connected(address, ips, context, until), MOST_OF_HEAD)
    try:
        url = httpcore2.URL(scheme=address.scheme, host=address.host, port=address.port, target=address.target)
        connection = AsyncHTTP11Connection(url.origin, stream)
        headers = [(b"Host", address.authority.encode("ascii")), *question.headers]
        request = httpcore2.Request(question.method, url, headers=headers, content=question.body)
        with telling():
            response = await connection.handle_async_request(request)
        stream.left = stream.left + 2 * most + MARKS if most else GLIMPSE
        yield response
    finally:
        await stream.aclose()


async def whole(response: Response, most: int, begins: Callable[[bytes], bool], took: Callable[[int], None]) -> bytes:
    """The body, of at most `most` bytes, if it `begins` as it should. Raises NotFetched, and whatever `took` does when
    it is told how many more bytes there are.
    """
    _check_head(response, most)
    body, pieces, known = bytearray(), 0, False
    async with aclosing(response.aiter_stream()) as stream:
        with telling():
            async for piece in stream:
                pieces += 1
                took(len(piece))
                body += piece
                if len(body) > most:
                    raise NotFetched("too_large", f"more than {most} bytes")
                if pieces > SMALL_PIECES and pieces * WHOLESOME > len(body):
                    raise NotFetched("malformed", "too many small pieces")
                if not known and len(body) >= BEGINNING:
                    known = _check(body, begins)
                if not pieces % BREATH:
                    await asyncio.sleep(0)  # pieces that came together would all be taken in one go
    if not known:
        _check(body, begins)
    return bytes(body)


async def status_of(response: Response) -> int:
    """The status of an answer that was `asked` for a glimpse, which is taken."""
    with contextlib.suppress(NotFetched), telling():
        async with asyncio.timeout(GLIMPSE_TIME), aclosing(response.aiter_stream()) as stream:
            async for _ in stream:
                pass
    return int(response.status)


def header(response: Response, name: bytes) -> bytes | None:
    """The value of a header. Raises NotFetched where it comes twice with different ones."""
    values = {value.strip() for each, value in response.headers if each.lower() == name}
    if len(values) > 1:
        raise NotFetched("malformed", f"several headers {name.decode()}")
    return values.pop() if values else None


@contextmanager
def telling() -> Iterator[None]:
    """Around everything that speaks with the other side: what goes wrong there is NotFetched."""
    try:
        yield
    except (TimeoutError, httpcore2.TimeoutException) as error:
        raise NotFetched("timed_out", "no answer in time") from error
    except httpcore2.ProtocolError as error:
        raise NotFetched("malformed", f"no valid HTTP: {error}") from error
    except (OSError, httpcore2.NetworkError) as error:
        raise NotFetched("unreachable", f"no connection: {_why(error)}") from error


def _why(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__} {error}".strip()


async def _connected(
    address: Address, ips: Sequence[str], context: ssl.SSLContext | None, until: float
) -> AsyncNetworkStream:
    """A connection to the first of `ips` that takes one; the time is shared fairly among them."""
    for place, ip in enumerate(ips, 1):
        share = (until - time.monotonic()) / (len(ips) - place + 1)
        try:
            async with asyncio.timeout(max(0.0, share)):
                return await _connected_to(address, ip, context)
        except (TimeoutError, httpcore2.NetworkError, httpcore2.TimeoutException):
            if place == len(ips):
                raise
    raise NotFetched("no_such_name", "no address")


async def _connected_to(address: Address, ip: str, context: ssl.SSLContext | None) -> AsyncNetworkStream:
    stream = await httpcore2.AnyIOBackend().connect_tcp(ip, address.port)
    if context is None:
        return stream
    try:
        return await stream.start_tls(context, server_hostname=address.host)
    except BaseException:
        await stream.aclose()  # the library leaves it open when it is called off
        raise


def _check_head(response: Response, most: int) -> None:
    """Raises NotFetched for what is not worth reading."""
    if response.status != 200:
        raise NotFetched("refused", f"status {response.status}")
    if (header(response, b"content-encoding") or b"identity").lower() != b"identity":
        raise NotFetched("malformed", "it is compressed, which nobody asked for")
    length = header(response, b"content-length")
    if length is not None and int(length) > most:  # the library takes nothing but digits
        raise NotFetched("too_large", f"{int(length)} bytes, where {most} are taken")


def _check(body: bytearray, begins: Callable[[bytes], bool]) -> bool:
    if not begins(bytes(body[:BEGINNING])):
        raise NotFetched("other_content", "its content is of another kind")
    return True
