"""Who is to blame when a request is given up: an upstream that says nothing, not a client that takes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from backends import Setup
from backends.events import Event, Usage
from backends.remote import Remote
from backends.remote import attempt as module
from backends.requests import ChatRequest, Message, Sampling, Text
from tests.upstream import inside

REQUEST = ChatRequest(model="ours", messages=(Message(role="user", parts=(Text("Hello"),)),), sampling=Sampling())


async def rest(events: AsyncIterator[Event]) -> None:
    async for _ in events:
        pass


@pytest.mark.parametrize(
    ("who", "fault", "outcome"),
    [
        ("slow client", None, "abandoned"),
        ("silent upstream", "stall-after-1", "timeout"),
        ("pinging upstream", "pings-after-1", "abandoned"),
    ],
)
def test_only_the_upstreams_own_silence_counts(
    who: str, fault: str | None, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENCE", 0.2)

    async def main() -> dict[str, int]:
        async with inside(models=("*",)) as fake:
            fake.script(chunks=50, delay=0.01, fault=fault)
            remote = Remote(Setup(name="ours", upstreams=[{"url": fake.url}]))
            await remote.start()
            events = remote.run(REQUEST)
            assert not isinstance(await anext(events), Usage)
            if who == "slow client":
                await asyncio.sleep(0.4)
            else:
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(rest(events), 0.5)
            await events.aclose()
            await remote.close()
            return {name: count for name, count in remote.pool.upstreams[0].counts.items() if count}

    assert asyncio.run(main()) == {outcome: 1}
