"""Jobs whose text is read as it is made, byte by byte."""

from __future__ import annotations

import json
import socket
import time

import pytest

from tests.dialects.infernet.calls import CONTAINER, STREAMING, call, ended, results, said
from tests.running import Running

GREETING = "grüße aus Köln 日本 🙂"


def opened(node: Running, **data: object) -> socket.socket:
    """A connection on which a stream was asked for."""
    body = json.dumps({"containers": [STREAMING, CONTAINER], "data": data}).encode()
    head = f"POST /api/jobs/stream HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    connection = socket.create_connection(("127.0.0.1", node.port), 20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(head + body)
    return connection


def chunks(data: bytes) -> list[bytes]:
    """The whole chunks of a body that has no length."""
    found: list[bytes] = []
    while b"\r\n" in data:
        size, _, data = data.partition(b"\r\n")
        length = int(size, 16)
        if len(data) < length + 2:
            break
        found.append(data[:length])
        data = data[length + 2 :]
    return found


def test_the_id_has_a_piece_of_its_own_and_no_character_is_cut(node: Running) -> None:
    """Released clients take all that comes first for the id."""
    with opened(node, **said(GREETING)) as connection:
        first = b""
        while b"\r\n\r\n" not in first or not chunks(first.partition(b"\r\n\r\n")[2]):
            first += connection.recv(65536)
        head, _, body = first.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"content-type: application/octet-stream" in head
        assert b"transfer-encoding: chunked" in head
        [line] = chunks(body)
        id = line.decode().removesuffix("\n")
        assert line == f"{id}\n".encode()
        assert call(node, "GET", "/api/jobs")[1][-1] == id
        rest = b""
        while not rest.endswith(b"0\r\n\r\n"):
            rest += connection.recv(65536)
    pieces = chunks(rest)
    assert "".join(piece.decode() for piece in pieces) == GREETING
    assert len(pieces) > 2
    result = {"container": STREAMING, "output": {"output": GREETING}}
    assert ended(node, id) == {"id": id, "status": "success", "result": result}


def whole(node: Running, **data: object) -> tuple[str, bytes, bool]:
    """The id, what came after it and whether that was the end."""
    data_seen = b""
    with opened(node, **data) as connection:
        try:
            while not data_seen.endswith(b"\r\n0\r\n\r\n"):
                piece = connection.recv(65536)
                if not piece:
                    break
                data_seen += piece
        except ConnectionResetError:
            pass
    line, *pieces = chunks(data_seen.partition(b"\r\n\r\n")[2])
    return line.decode().strip(), b"".join(pieces), data_seen.endswith(b"\r\n0\r\n\r\n")


@pytest.mark.parametrize(("model", "text"), [("broken", b"a b"), ("none", b"")])
def test_a_failure_cuts_the_connection(node: Running, model: str, text: bytes) -> None:
    id, seen, clean = whole(node, model=model, prompt="a b c d e f")
    assert (seen, clean) == (text, False)
    result = ended(node, id)
    assert (result["status"], result["result"]["container"]) == ("failed", STREAMING)


def test_what_is_no_text_comes_as_json_at_the_end(node: Running) -> None:
    id, seen, clean = whole(node, params={"endpoint": "embeddings", "input": "a"})
    assert clean
    assert ended(node, id)["result"]["output"]["output"] == json.loads(seen)


def test_a_client_that_leaves_stops_its_job(node: Running) -> None:
    with opened(node, model="slow", prompt="a " * 200) as connection:
        seen = b""
        while len(chunks(seen.partition(b"\r\n\r\n")[2])) < 4:
            seen += connection.recv(65536)
    id = chunks(seen.partition(b"\r\n\r\n")[2])[0].decode().strip()
    left = time.monotonic()
    result = ended(node, id)
    assert time.monotonic() - left < 5
    assert (result["status"], result["result"]) == (
        "failed",
        {"container": STREAMING, "error": "The stream ended early."},
    )


def test_only_jobs_are_streamed(node: Running) -> None:
    expected = {"error": "Streaming only supported for OffchainJob requests."}
    assert call(node, "POST", "/api/jobs/stream", {"subscription": {}, "data": {}}) == (405, expected)
    assert results(node, "nothing") == []
