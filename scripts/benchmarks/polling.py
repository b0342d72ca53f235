"""A thousand clients over HTTP, each of which asks about a job once a second, by each protocol that has jobs.

Their jobs wait in the queue, or ended before the server was started, so that nothing of them is in its memory.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from figures import Line
from load import Client, connect, post
from msgspec import Struct
from pinned import Pinned, pin_load

CONFIG = """\
[server]
connections = 4000
connections_per_peer = 4000
[jobs]
database = "{database}"
home = "{home}"
queued = 10000
[models.echo]
backend = "echo"
slots = 64
[models.slow]
backend = "echo"
slots = 1
options = {{ delay = 1.0, chunks = 1000 }}
"""
CLIENTS, SECONDS, CPU = 1000, 6, 0.5
TEXT = "one two three four five six seven eight nine ten"


class Protocol(Struct, frozen=True):
    """How a job of a model is handed in, where its id is told, how it is asked about, and what says that it ended."""

    name: str
    path: str
    body: Callable[[str], Any]
    id: str
    about: str
    ended: bytes


PROTOCOLS = (
    Protocol(
        "predictions",
        "/v1/predictions",
        lambda model: {"version": model, "input": {"prompt": TEXT}},
        "id",
        "/v1/predictions/{id}",
        b'"status":"succeeded"',
    ),
    Protocol(
        "AIME",
        "/{model}",
        lambda _: {"prompt": TEXT, "wait_for_result": False},
        "job_id",
        "/{model}/progress?job_id={id}",
        b'"job_state":"done"',
    ),
    Protocol(
        "Infernet",
        "/api/jobs",
        lambda model: {
            "containers": ["openai-inference-0.0.1"],
            "data": {
                "model": model,
                "params": {"endpoint": "completion", "messages": [{"role": "user", "content": TEXT}]},
            },
        },
        "id",
        "/api/jobs?id={id}",
        b'"status":"success"',
    ),
)


@contextmanager
def served(folder: Path, cores: set[int] | None) -> Iterator[Pinned]:
    """A server with the jobs that are there."""
    server = Pinned(
        ["-m", "openai_proxy", "serve", "--port", "0", "--config", str(folder / "jobs.toml")], folder / "log", cores
    )
    try:
        time.sleep(1)
        yield server
    finally:
        server.stop()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()


async def handed_in(clients: Sequence[Client], protocol: Protocol, model: str) -> list[bytes]:
    """Hand in a job for each client; the requests by which they are asked about."""

    async def hand_in(client: Client) -> bytes:
        answer = await client.ask(post(protocol.path.format(model=model), json.dumps(protocol.body(model)).encode()))
        told = json.loads(answer.raw.partition(b"\r\n\r\n")[2])
        return get(protocol.about.format(model=model, id=told[protocol.id]))

    found: list[bytes] = []
    for begin in range(0, len(clients), 50):
        found += await asyncio.gather(*map(hand_in, clients[begin : begin + 50]))
    return found


async def ended(client: Client, requests: Sequence[bytes], mark: bytes) -> None:
    """Wait until all have."""
    for request in requests:
        while True:
            if mark in (await client.ask(request)).raw:
                break
            await asyncio.sleep(0.05)


async def polled(server: Pinned, clients: Sequence[Client], requests: Sequence[bytes]) -> float:
    """Cores that are busy while each client asks once a second. Raises SystemExit for answers that are none."""

    async def poll(place: int) -> None:
        for number in range(SECONDS):
            await asyncio.sleep(begun + number + place / len(clients) - time.perf_counter())
            answer = await clients[place].ask(requests[place])
            if not answer.succeeded():
                raise SystemExit(f"a job was not told: {answer.raw[:500]!r}")

    await asyncio.sleep(0.5)
    begun, cpu = time.perf_counter(), server.cpu()
    await asyncio.gather(*map(poll, range(len(clients))))
    return (server.cpu() - cpu) / (time.perf_counter() - begun)


async def _ended_before(server: Pinned) -> list[list[bytes]]:
    clients = await connect(server.port, CLIENTS)
    found = [await handed_in(clients, protocol, "echo") for protocol in PROTOCOLS]
    for protocol, requests in zip(PROTOCOLS, found, strict=True):
        await ended(clients[0], requests, protocol.ended)
    for client in clients:
        client.transport.close()
    return found


async def _polled_all(server: Pinned, old: Sequence[Sequence[bytes]]) -> list[Line]:
    clients = await connect(server.port, CLIENTS)
    cores: dict[str, tuple[float, float]] = {}
    for protocol, requests in zip(PROTOCOLS, old, strict=True):
        past = await polled(server, clients, requests)
        new = await handed_in(clients, protocol, "slow")
        cores[protocol.name] = past, await polled(server, clients, new)
    return [
        Line(f"{CLIENTS} jobs {state}", f"polled once a second by {name}", "cores", both[which], None, None, CPU)
        for which, state in enumerate(("that ended", "that wait"))
        for name, both in cores.items()
    ]


def measure(database: str, folder: Path) -> list[Line]:
    """A line for each protocol and state."""
    cores = pin_load()
    (folder / "jobs.toml").write_text(CONFIG.format(database=database, home=folder))
    with served(folder, cores) as server:
        old = uvloop.run(_ended_before(server))
    with served(folder, cores) as server:
        return uvloop.run(_polled_all(server, old))
