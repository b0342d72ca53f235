"""A thousand streams that are held for two minutes."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from tests.backends.remote.asking import SAID, asked, happens, line, metrics, open_descriptors, post
from tests.backends.remote.serving import SERVER, model
from tests.conftest import Serve
from tests.upstream import upstream

STREAMS = 1000
CHUNKS, DELAY = 240, 0.5


def memory(pid: int) -> int:
    """Resident memory in kB."""
    return int(re.findall(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[0])


@pytest.mark.soak
def test_a_thousand_streams_are_held_for_two_minutes(serve: Serve) -> None:
    """Memory and descriptors stay flat while they run, all are complete, and nothing is left of them."""
    with upstream("--model", "theirs", "--chunks", str(CHUNKS), "--delay", str(DELAY), "--keep", "1") as fake:
        server = serve(SERVER + model("m", {"url": fake.url}, settings={}))
        before = open_descriptors(server), memory(server.pid)
        samples: list[tuple[int, int]] = []
        request = post({"model": "m", "messages": SAID, "stream": True})
        whole = 0

        async def one(number: int) -> None:
            nonlocal whole
            await asyncio.sleep(number / STREAMS * 2)
            async with line(server, request) as connection:
                answer = await connection.rest()
            whole += answer.done and answer.clean and len(answer.chunks) == CHUNKS

        async def watch() -> None:
            await asyncio.sleep(10)
            for _ in range(10):
                samples.append((open_descriptors(server), memory(server.pid)))
                await asyncio.sleep(10)

        async def story() -> None:
            await asyncio.gather(watch(), *(one(number) for number in range(STREAMS)))

        asyncio.run(story())
        assert whole == STREAMS
        counts, sizes = zip(*samples, strict=True)
        assert max(counts) - min(counts) <= 4
        assert max(sizes) - sizes[0] < 10_000
        happens(lambda: open_descriptors(server) <= before[0] + 4, 10)
        assert all(value == 0 for name, value in metrics(server).items() if "outstanding" in name)
        fake.script(chunks=4, delay=0)
        assert asked(server, "m").status == 200
        each = (sizes[0] - before[1]) / STREAMS
        print(f"{each:.0f} kB a stream; {before[1]} kB before, {sizes} meanwhile; descriptors {counts}")
        assert each < 100
