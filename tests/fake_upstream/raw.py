"""Raw questions to an upstream, and raw answers."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

from tests.edge.raw import everything, head_of, request
from tests.upstream import Upstream

MESSAGES = [{"role": "user", "content": "hello"}]
AT_ONCE = struct.pack("ii", 1, 0)


def connected(fake: Upstream) -> socket.socket:
    return socket.create_connection(("127.0.0.1", fake.port), 10)


def chat(*lines: str, script: str = "", stream: bool = True, close: bool = True, **more: Any) -> bytes:
    """A chat as bytes; `script` is that of the request."""
    body = {"model": "fake", "messages": MESSAGES, "stream": stream, **more}
    if script:
        lines = (*lines, f"x-fake: {script}")
    return request("POST", "/v1/chat/completions", *lines, body=json.dumps(body).encode(), close=close)


def asked(fake: Upstream, data: bytes) -> bytes:
    """All that comes back until the connection ends, however it ends."""
    with connected(fake) as connection:
        connection.sendall(data)
        return everything(connection)


def is_reset(fake: Upstream, data: bytes) -> tuple[bytes, bool]:
    """What comes back, and whether a reset ended it."""
    received = b""
    with connected(fake) as connection:
        connection.sendall(data)
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            return received, True
    return received, False


def unchunked(answer: bytes) -> bytes:
    """The body of a chunked answer, which has to be whole."""
    assert head_of(answer)["transfer-encoding"] == "chunked"
    rest, pieces = body_of(answer), list[bytes]()
    while True:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert rest == b"\r\n"
            return b"".join(pieces)
        pieces.append(rest[:length])
        assert rest[length : length + 2] == b"\r\n"
        rest = rest[length + 2 :]


def body_of(answer: bytes) -> bytes:
    return answer.partition(b"\r\n\r\n")[2]


def events(body: bytes) -> list[Any]:
    """The payloads of a good event stream; "[DONE]" stays text."""
    assert body.endswith(b"\n\n")
    lines = body[:-2].split(b"\n\n")
    assert all(line.startswith(b"data: ") for line in lines), lines
    return ["[DONE]" if line == b"data: [DONE]" else json.loads(line[6:]) for line in lines]


def contents(told: list[Any]) -> list[str]:
    """The texts of the chunks that have one."""
    deltas = (choice["delta"] for each in told if each != "[DONE]" for choice in each.get("choices", ()))
    return [delta["content"] for delta in deltas if delta.get("content")]
