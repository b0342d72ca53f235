"""Who gets which request, as the upstreams see it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.backends.remote.asking import asked, line, post
from tests.backends.remote.conftest import Pair
from tests.backends.remote.serving import FORGIVING, SERVER, model
from tests.conftest import servers
from tests.running import Running
from tests.upstream import Upstream, threaded

NAMES = ("one", "two", "three")
LONG = "You are a librarian who knows every book. " * 100


@pytest.fixture(scope="module")
def upstreams() -> Iterator[list[Upstream]]:
    with ExitStack() as stack:
        yield [stack.enter_context(threaded(models=("theirs",), name=name, kept=500)) for name in NAMES]


@pytest.fixture(scope="module")
def server(upstreams: list[Upstream], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A model for each strategy, with its name; `weighted` gives 3, 2 and 1 sixths."""
    text = SERVER
    for strategy in ("least", "weighted", "session", "prefix"):
        named = [
            {"url": each.url, "name": name, "weight": weight if strategy == "weighted" else 1}
            for each, name, weight in zip(upstreams, NAMES, (3, 2, 1), strict=True)
        ]
        text += model(strategy, *named, settings={**FORGIVING, "strategy": strategy})
    with servers(tmp_path_factory.mktemp("shares")) as start:
        yield start(text)


@pytest.fixture(autouse=True)
def forgotten(upstreams: list[Upstream]) -> None:
    for each in upstreams:
        each.wait_for(lambda seen: not seen.running)
        each.reset()


def said(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def served_by(server: Running, model: str, **fields: Any) -> str:
    """The upstream that answered."""
    answer = asked(server, model, stream=True, **fields)
    assert answer.done
    name: str = answer.events[0]["system_fingerprint"]
    return name


@pytest.mark.parametrize("field", ["prompt_cache_key", "user"])
def test_a_session_stays_where_it_is(server: Running, field: str) -> None:
    homes = {}
    for key in map(str, range(12)):
        found = {served_by(server, "session", **{field: key}, messages=said(f"turn {turn}")) for turn in range(4)}
        assert len(found) == 1
        homes[key] = found.pop()
    assert set(homes.values()) == set(NAMES)


def test_the_cache_key_counts_before_the_user(server: Running) -> None:
    assert len({served_by(server, "session", prompt_cache_key="k", user=str(user)) for user in range(8)}) == 1


def test_without_a_session_work_is_spread(server: Running) -> None:
    assert {served_by(server, "session") for _ in range(6)} == set(NAMES)


def test_weights_are_shares(server: Running, upstreams: list[Upstream]) -> None:
    for _ in range(60):
        assert asked(server, "weighted").status == 200
    assert [Pair.arrived(each) for each in upstreams] == [30, 20, 10]


def test_a_prompts_beginning_stays_where_its_cache_is(server: Running) -> None:
    """Two kilobytes are the beginning; what comes behind them makes no difference."""
    homes = set()
    for number in range(8):
        system = [{"role": "system", "content": f"{number} {LONG}"}]
        found = {served_by(server, "prefix", messages=[*system, *said(f"question {turn}")]) for turn in range(4)}
        assert len(found) == 1
        homes |= found
    assert len(homes) > 1


def test_no_beginning_fills_one_upstream_alone(server: Running, upstreams: list[Upstream]) -> None:
    """Thirty at once with one prefix: none has more than 1.25 times its even share, rounded up."""
    for each in upstreams:
        each.script(first=60)

    async def hold() -> list[int]:
        async with asyncio.TaskGroup() as group:
            request = post({"model": "prefix", "messages": said(LONG)})
            tasks = [group.create_task(_held(server, request)) for _ in range(30)]
            while sum(each.seen(0).running for each in upstreams) < 30:
                await asyncio.sleep(0.01)
            counts = [each.seen(0).running for each in upstreams]
            for task in tasks:
                task.cancel()
        return counts

    counts = asyncio.run(hold())
    assert sum(counts) == 30
    assert max(counts) <= 13
    assert sorted(counts)[-1] > 10  # and its home has as much as it may


def test_the_idle_one_is_asked(server: Running, upstreams: list[Upstream]) -> None:
    """Two are at work, one with a long prompt: the third gets all, and then the one with less to do."""
    for each in upstreams:
        each.script(first=60)

    async def story() -> list[int]:
        async with asyncio.TaskGroup() as group:
            tasks = []
            for count, content in enumerate(["x", LONG * 20, "x", "x", "x"], start=1):
                request = post({"model": "least", "messages": said(content)})
                tasks.append(group.create_task(_held(server, request)))
                while sum(each.seen(0).running for each in upstreams) < count:
                    await asyncio.sleep(0.01)
            counts = [each.seen(0).running for each in upstreams]
            for task in tasks:
                task.cancel()
        return counts

    assert sorted(asyncio.run(story())) == [1, 2, 2]
    for each in upstreams:
        each.wait_for(lambda seen: not seen.running)
    [burdened] = [each for each in upstreams if len(each.seen().aborted) == 1]
    assert LONG[:100] in burdened.seen().last[-1].body


async def _held(server: Running, request: bytes) -> None:
    async with line(server, request) as connection:
        await connection.rest()
