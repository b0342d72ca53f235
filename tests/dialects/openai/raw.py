"""Speech as it arrives on a bare connection: each chunk as the server wrote it, and when."""

from __future__ import annotations

import json
import socket
import time
from typing import Any

from tests.dialects.openai.local import connect
from tests.dialects.openai.speaking import SPEECH


def order(body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    head = f"POST {SPEECH} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(data)}\r\n\r\n".encode() + data


class Arriving:
    """One answer on its way. `head` is there once `begin` returned; `clean` once its last chunk came."""

    def __init__(self, port: int, body: dict[str, Any]) -> None:
        self.connection: socket.socket = connect(port)
        self.file = self.connection.makefile("rb")
        self.sent = time.monotonic()
        self.connection.sendall(order(body))
        self.status = 0
        self.head: dict[str, str] = {}
        self.clean = False

    def begin(self) -> None:
        self.status = int(self.file.readline().split()[1])
        while line := self.file.readline().decode().strip():
            name, _, value = line.partition(": ")
            self.head[name.lower()] = value

    def chunk(self) -> bytes:
        """The next one; nothing at the end, be it a good one or not."""
        try:
            size = int(self.file.readline() or b"-1", 16)
            data = self.file.read(max(0, size) + 2 * (size >= 0))
        except ConnectionResetError:
            return b""
        self.clean = size == 0
        return data[:-2]

    def close(self) -> None:
        self.file.close()
        self.connection.close()


def pieces(port: int, body: dict[str, Any]) -> tuple[dict[str, str], list[bytes]]:
    """The head and the chunks of a whole answer."""
    arriving = Arriving(port, body)
    arriving.begin()
    assert arriving.status == 200
    found = []
    while piece := arriving.chunk():
        found.append(piece)
    assert arriving.clean
    arriving.close()
    return arriving.head, found
