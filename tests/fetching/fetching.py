"""A fetcher with settings of a test's own, names that mean what the test says, and servers that answer by a script."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import pytest

import vision
from openai_proxy.config import Config, Limits, Media, Timeouts
from openai_proxy.errors import UrlNotAllowed
from openai_proxy.fetching import NotFetched
from openai_proxy.fetching.fetcher import Fetcher
from openai_proxy.fetching.lookup import Resolver
from tests.backends.remote.http.scripted import Line, Script, Scripted
from tests.pictures import picture

# Words of every refusal that comes after the address was read.
REFUSAL = "here: nothing could be fetched from this address."
PNG = picture()
HEAD = b"HTTP/1.1 200 OK\r\n"
HERE = {"a.example": [["127.0.0.1"]]}
# This machine, and any port and scheme.
OPEN: dict[str, Any] = {"fetch": True, "schemes": ("https", "http"), "networks": ("127.0.0.0/8",)}


class Told:
    """What a fetcher tells the metrics."""

    def __init__(self) -> None:
        self.outcomes: list[str] = []
        self.sizes: list[int] = []

    def __call__(self, outcome: str, seconds: float, size: int) -> None:
        assert seconds >= 0
        self.outcomes.append(outcome)
        self.sizes.append(size)


class Names:
    """A resolver that answers from a table: each time the next of a name's answers, at the end the last one again."""

    def __init__(self, table: Mapping[str, Iterable[Sequence[str]]]) -> None:
        self.table = {name: list(answers) for name, answers in table.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        answers = self.table.get(host)
        if answers is None:
            raise NotFetched("no_such_name", "unknown")
        return list(answers.pop(0) if len(answers) > 1 else answers[0])


def fetcher(
    media: Media, names: Names | Resolver | None = None, told: Told | None = None, **more: Limits | Timeouts
) -> Fetcher:
    config = Config(media=media, limits=Limits(), timeouts=Timeouts(fetch=5.0, fetch_connect=2.0))
    for name, value in more.items():
        config = Config(**{**{each: getattr(config, each) for each in config.__struct_fields__}, name: value})
    return Fetcher(lambda: config, told or Told(), names or Resolver())


async def got(fetch: Fetcher, url: str, owner: str = "ann") -> bytes:
    """What is at an address; raises UrlNotAllowed and so on."""
    return await fetch.fetch(fetch.read(url, "here"), "here", vision.is_picture, owner=owner)


def says(*pieces: bytes) -> Script:
    """Answer a request with these pieces, then close."""

    async def script(line: Line) -> None:
        await line.request()
        for piece in pieces:
            await line.send(piece)

    return script


def whole(body: bytes, *lines: bytes) -> Script:
    return says(
        HEAD + b"".join(line + b"\r\n" for line in (b"content-length: %d" % len(body), *lines)) + b"\r\n" + body
    )


def redirect(location: str, status: int = 302) -> Script:
    return says(f"HTTP/1.1 {status} Found\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n".encode("latin-1"))


async def stalls(line: Line) -> None:
    """Take the request and say nothing until the client leaves."""
    await line.request()
    await line.left()


async def drips(line: Line) -> None:
    """A picture without end, a byte at a time."""
    await line.request()
    await line.send(HEAD + b"\r\n" + PNG)
    while True:
        await line.send(b"x")
        await asyncio.sleep(0.01)


def opened(server: Scripted, **more: Any) -> Media:
    return Media(**{**OPEN, "ports": (server.port,), **more})


def run(script: Script, work: Callable[[Scripted], Awaitable[Any]], *more: Script, ssl: Any = None) -> Any:
    async def main() -> Any:
        async with Scripted((script, *more), ssl) as server:
            return await work(server)

    return asyncio.run(main())


def fetched(
    script: Script, *more: Script, told: Told | None = None, media: Mapping[str, Any] = {}, **settings: Any
) -> bytes:
    """What comes of asking a.example, which is the scripted server."""

    async def work(server: Scripted) -> bytes:
        fetch = fetcher(opened(server, **media), Names(HERE), told, **settings)
        return await got(fetch, f"http://a.example:{server.port}/x?y=1")

    data: bytes = run(script, work, *more)
    return data


def not_fetched(script: Script, *more: Script, reason: str, **settings: Any) -> None:
    told = Told()
    with pytest.raises(UrlNotAllowed) as caught:
        fetched(script, *more, told=told, **settings)
    assert (type(caught.value), caught.value.message, caught.value.param) == (UrlNotAllowed, REFUSAL, "here")
    assert (told.outcomes, told.sizes) == ([reason], [0])
