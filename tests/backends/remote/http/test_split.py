"""An answer means the same wherever the socket's reads cut it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.remote.http.answer import OwnAnswer
from backends.remote.http.connection import Connection
from backends.remote.http.errors import Broken, Malformed
from backends.remote.http.idle import Idle
from tests.backends.remote.http.scripted import CHUNKED, HELLO

INTERIM = b"HTTP/1.1 100 Continue\r\nx: y\r\n\r\n"
EXTENDED = CHUNKED + b"5;a=b\r\nhello\r\n3\r\nyou\r\n0\r\nx-trailer: 1\r\n\r\n"
WHOLE = {HELLO: b"hello", INTERIM + HELLO: b"hello", EXTENDED: b"helloyou"}


class Wire(asyncio.Transport):
    """A transport that goes nowhere."""

    closed = False

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: Any) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


def answered(*reads: bytes, end: bool = False) -> tuple[int, bytes, bool]:
    """Status, body and whether the connection is kept, when the socket's reads are these, and with `end` its end."""

    async def work() -> tuple[int, bytes, bool]:
        idle, wire = Idle(8, 8.0), Wire()
        connection = Connection(asyncio.get_running_loop(), idle)
        connection.connection_made(wire)
        answer = OwnAnswer(connection, 32_768, head_only=False, reused=False)
        connection.send(b"", b"", answer)
        for read in reads:
            connection.data_received(read)
        if end:
            connection.eof_received()
        await answer.headed()
        body = await answer.whole(100)
        answer.close()
        kept = not wire.closed
        assert kept == (idle.take() is connection)
        idle.clear()
        return answer.status, body, kept

    return asyncio.run(work())


@pytest.mark.parametrize("data", WHOLE)
def test_every_cut(data: bytes) -> None:
    for cut in range(1, len(data)):
        assert answered(data[:cut], data[cut:]) == (200, WHOLE[data], True), cut
    assert answered(*(data[n : n + 1] for n in range(len(data)))) == (200, WHOLE[data], True)


@pytest.mark.parametrize("garbage", [b"H", b"x", HELLO, b"\0", b"HTTP/1.1 200 OK\r\n"])
@pytest.mark.parametrize("data", WHOLE)
def test_garbage_behind(data: bytes, garbage: bytes) -> None:
    """The answer is good, its connection is not, whether the garbage comes with it or later."""
    assert answered(data + garbage) == (200, WHOLE[data], False)
    assert answered(data, garbage) == (200, WHOLE[data], False)
    assert answered(data[:-1], data[-1:] + garbage) == (200, WHOLE[data], False)


def test_long_head_at_every_cut() -> None:
    """The limit of a head is the same for one read and for two."""
    fill = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nx: \r\n\r\n"
    for more in (0, 1):
        data = fill.replace(b"x: ", b"x: " + b"a" * (32_768 - len(fill) + more)) + b"hello"
        for cut in (1, 100, 32_766, 32_767, 32_768, 32_769):
            if more:
                with pytest.raises(Malformed):
                    answered(data[:cut], data[cut:])
            else:
                assert answered(data[:cut], data[cut:])[:2] == (200, b"hello")


@given(data=st.sampled_from(list(WHOLE)), at=st.integers(0, 200), put=st.binary(max_size=3), cut=st.integers(0, 200))
@settings(max_examples=300, deadline=None)
def test_anything(data: bytes, at: int, put: bytes, cut: int) -> None:
    """Bytes that change, come or go make another answer or one of our errors, never anything else."""
    data = data[:at] + put + data[at + 1 :]
    try:
        status, _, kept = answered(data[:cut], data[cut:], end=True)
    except (Broken, Malformed):
        return
    assert 200 <= status <= 599
    assert not kept
