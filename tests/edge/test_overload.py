"""Many clients at once: those who leave, those who come too many, those who do not read."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import servers
from tests.edge import raw
from tests.running import Running

CONFIG = """
[server]
grace = 0.0
connections = 2000
connections_per_peer = 2000

[timeouts]
send = 1.0

[models.echo]
backend = "echo"

[models.narrow]
backend = "echo"
slots = 2
queue = 4
"""
RESET = struct.pack("ii", 1, 0)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with servers(tmp_path_factory.mktemp("overload")) as start:
        yield start(CONFIG)


def metric(server: Running, line: str) -> float:
    """The value of one line of /metrics, 0 if it is not there."""
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(raw.get("/metrics"))
        text = raw.everything(connection).decode()
    found = [entry for entry in text.splitlines() if entry.startswith(f"openai_proxy_{line} ")]
    return float(found[0].split()[-1]) if found else 0.0


def idle(server: Running, model: str) -> bool:
    gauges = (f'requests_running{{model="{model}"}}', f'requests_waiting{{model="{model}"}}')
    return all(metric(server, gauge) == 0 for gauge in gauges)


def descriptors(server: Running) -> int:
    return len(os.listdir(f"/proc/{server.pid}/fd"))


def resident(server: Running) -> int:
    """Bytes of memory in use."""
    return int(Path(f"/proc/{server.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def body(model: str, stream: bool, **script: object) -> bytes:
    value = {"model": model, "messages": [{"role": "user", "content": "x"}], "stream": stream, "script": script}
    return raw.request("POST", "/v1/chat/completions", body=json.dumps(value).encode(), close=False)


def test_clients_that_leave_free_everything(server: Running) -> None:
    before, memory = descriptors(server), resident(server)
    gone = metric(server, 'canceled_total{model="echo",reason="client_gone"}')

    async def leave(number: int) -> None:
        stream = number % 2 == 0
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(body("echo", stream, chunks=100_000, delay=0.05, first_delay=0.0))
        if stream:
            await reader.readuntil(b"data: ")
        else:
            await asyncio.sleep(0.2)
        if number % 4 < 2:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.close()

    async def all_at_once() -> None:
        await asyncio.gather(*(leave(number) for number in range(200)))

    asyncio.run(all_at_once())
    raw.wait_for(lambda: idle(server, "echo"), 2)
    raw.wait_for(lambda: descriptors(server) <= before + 20, 2)
    assert resident(server) - memory < 150_000_000
    assert metric(server, 'canceled_total{model="echo",reason="client_gone"}') - gone == 200


def test_clients_that_leave_the_queue_free_their_place(server: Running) -> None:
    connections = [socket.create_connection(("127.0.0.1", server.port), 10) for _ in range(6)]
    for connection in connections:
        connection.sendall(body("narrow", False, first_delay=30))
    raw.wait_for(lambda: metric(server, 'requests_waiting{model="narrow"}') == 4)
    for connection in connections[2:]:
        connection.close()
    raw.wait_for(lambda: metric(server, 'requests_waiting{model="narrow"}') == 0, 2)
    assert metric(server, 'requests_running{model="narrow"}') == 2
    for connection in connections[:2]:
        connection.close()
    raw.wait_for(lambda: idle(server, "narrow"), 2)


def test_overload_is_answered_at_once_and_liveness_goes_on(server: Running) -> None:
    statuses: Counter[int] = Counter()
    alive: list[float] = []

    async def exchange(data: bytes) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(data)
        answer = await reader.read()
        writer.close()
        return answer

    async def one(number: int) -> None:
        data = body("narrow", number % 2 == 0, first_delay=0.05)
        answer = await exchange(data.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        statuses[raw.status(answer)] += 1
        if raw.status(answer) != 200:
            error = raw.error_of(answer)
            assert error["code"] in ("queue_full", "overloaded")
            assert error["queue_position"] >= 1
            assert error["estimated_wait"] >= 0
            assert 1 <= int(raw.head_of(answer)["retry-after"]) <= 120
            assert "x-should-retry" not in raw.head_of(answer)

    async def look() -> None:
        for _ in range(5):
            began = time.monotonic()
            assert raw.status(await exchange(raw.get("/livez"))) == 200
            alive.append(time.monotonic() - began)

    async def storm() -> None:
        await asyncio.gather(*(one(number) for number in range(300)), look())

    asyncio.run(storm())
    assert set(statuses) <= {200, 429, 503}
    assert statuses[200] >= 6
    assert statuses[429] >= 100
    assert max(alive) < 5
    with socket.create_connection(("127.0.0.1", server.port), 10) as connection:
        connection.sendall(body("narrow", False))
        assert raw.status(raw.until(connection, b"\r\n\r\n")) == 200
    raw.wait_for(lambda: idle(server, "narrow"), 2)


@pytest.mark.slow
def test_a_reader_that_takes_nothing_is_cut_and_its_request_ended(server: Running) -> None:
    memory = resident(server)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(body("echo", True, flood=True))
        raw.wait_for(lambda: metric(server, 'requests_running{model="echo"}') == 1)
        raw.wait_for(lambda: metric(server, 'timeouts_total{timer="send"}') >= 1, 5)
        raw.wait_for(lambda: idle(server, "echo"), 2)
    assert resident(server) - memory < 30_000_000


@pytest.mark.slow
def test_a_slow_reader_that_reads_is_served(server: Running) -> None:
    """More than fits between the two, taken with pauses shorter than the limit."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.settimeout(10)
        connection.connect(("127.0.0.1", server.port))
        connection.sendall(body("echo", True, chunks=3000, size=1000))
        received = 0
        for _ in range(6):
            time.sleep(0.3)
            received += len(connection.recv(1_000_000))
        rest = raw.until(connection, b"data: [DONE]")
        assert received + len(rest) > 3_000_000
