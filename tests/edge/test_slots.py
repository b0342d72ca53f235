"""Slots, queues and peers that processes share, without a server around them."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from backends import State
from openai_proxy.company import Standing
from openai_proxy.config import Config, ModelConfig
from openai_proxy.errors import Draining, QueueFull, QueueTimeout
from openai_proxy.workers.board import BLOCKS, RUNNING, WAYS, Board, Post, Seat, column
from openai_proxy.workers.cells import Cells
from openai_proxy.workers.companies import SharedCompany
from openai_proxy.workers.plans import Plans
from openai_proxy.workers.slots import SharedAdmission

ECHO = ModelConfig(backend="echo")


class Two:
    """Two workers' parts of one model, in one process."""

    def __init__(self, slots: int, queue: int, tokens: int = 1000) -> None:
        self.board = Board(4)
        self.posts = [Post(self.board, row) for row in (0, 1)]
        self.first, self.second = (SharedAdmission(slots, queue, tokens, post, 0) for post in self.posts)

    def hear(self, row: int) -> None:
        """Do what a worker does when it is called."""
        if self.board.heard(row):
            for look in tuple(self.posts[row].waiting):
                look()


def alone(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_slots_are_counted_together() -> None:
    two = Two(slots=3, queue=0)
    assert [two.first.take(), two.second.take(), two.first.take()] == [True] * 3
    assert not two.second.take()
    two.first.release(time.monotonic())
    assert two.second.take()
    assert not two.first.take()
    assert (two.first.running, two.second.running) == (1, 2)


def test_the_queue_is_counted_together() -> None:
    async def test() -> None:
        two = Two(slots=1, queue=2)
        assert two.first.take()
        waiting = [asyncio.ensure_future(each.acquire(1, 5)) for each in (two.first, two.second)]
        await asyncio.sleep(0)
        for each in (two.first, two.second):
            with pytest.raises(QueueFull):
                await each.acquire(1, 5)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert two.first.ahead == two.second.ahead == 0

    alone(test)


def test_tokens_in_line_are_counted_together() -> None:
    async def test() -> None:
        two = Two(slots=1, queue=10, tokens=100)
        assert two.first.take()
        waiting = asyncio.ensure_future(two.first.acquire(90, 5))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await two.second.acquire(11, 5)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        with pytest.raises(QueueTimeout):
            await two.second.acquire(5000, 0.01)

    alone(test)


def test_who_came_first_is_served_first_wherever_they_came() -> None:
    async def test() -> None:
        two = Two(slots=1, queue=10)
        assert two.first.take()
        served: list[int] = []

        async def come(number: int, where: SharedAdmission) -> None:
            slot = await where.acquire(1, 5)
            served.append(number)
            where.release(slot)

        tasks = []
        for number in range(6):
            tasks.append(asyncio.ensure_future(come(number, two.second if number % 2 else two.first)))
            await asyncio.sleep(0)
        two.first.release(time.monotonic())
        for _ in range(30):
            await asyncio.sleep(0)
            two.hear(0)
            two.hear(1)
        await asyncio.gather(*tasks)
        assert served == list(range(6))
        assert two.board.unused(0)

    alone(test)


def test_whoever_was_not_called_looks_for_themselves() -> None:
    async def test() -> None:
        two = Two(slots=1, queue=10)
        assert two.first.take()
        waiting = asyncio.ensure_future(two.second.acquire(1, 5))
        await asyncio.sleep(0)
        two.first.release(time.monotonic())
        await asyncio.wait_for(waiting, 1)

    alone(test)


def test_one_that_does_not_come_is_not_waited_for() -> None:
    async def test() -> None:
        two = Two(slots=1, queue=10)
        assert two.first.take()
        gone = asyncio.ensure_future(two.first.acquire(1, 5))
        await asyncio.sleep(0)
        two.first._looking.cancel()  # type: ignore[union-attr]  # it stands still
        waiting = asyncio.ensure_future(two.second.acquire(1, 5))
        await asyncio.sleep(0)
        two.first._run(-1)
        await asyncio.wait_for(waiting, 1)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)

    alone(test)


def test_what_a_dead_worker_held_is_free() -> None:
    two = Two(slots=1, queue=10)
    assert two.first.take()
    two.board.clear(0)
    assert two.second.take()


def test_a_closed_queue_leaves_nothing_behind() -> None:
    async def test() -> None:
        two = Two(slots=1, queue=10)
        assert two.first.take()
        waiting = asyncio.ensure_future(two.second.acquire(1, 5))
        await asyncio.sleep(0)
        two.second.close(Draining)
        with pytest.raises(Draining):
            await waiting
        two.first.release(time.monotonic())
        assert two.board.unused(0)

    alone(test)


def hammer(board: Board, row: int, slots: int, failed: Any) -> None:
    """Take up to five slots and give them back, and see that there were never more than there may be."""
    admission = SharedAdmission(slots, 0, 0, Post(board, row), 0)
    for _ in range(1000):
        taken = sum(admission.take() for _ in range(5))
        if board.cells.total(column(0, RUNNING)) > slots:
            failed.value += 1
        for _ in range(taken):
            admission.release(0.0)


@pytest.mark.parametrize("slots", [3, 20])
def test_no_race_exceeds_the_slots(slots: int) -> None:
    """Neither where each is taken under a lock, nor where some can be taken without."""
    board = Board(8)
    context = multiprocessing.get_context("fork")
    failed = context.Value("i", 0)
    processes = [context.Process(target=hammer, args=(board, row, slots, failed)) for row in range(6)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert failed.value == 0
    assert board.unused(0)


def test_peers_are_counted_together_as_long_as_there_is_room() -> None:
    board = Board(2)
    first, second = Post(board, 0), Post(board, 1)
    first.count_peer("192.0.2.1", 3)
    second.count_peer("192.0.2.1", 2)
    assert first.of_peer("192.0.2.1") == second.of_peer("192.0.2.1") == 5
    assert first.of_peer("192.0.2.2") == 0
    board.clear(0)
    assert second.of_peer("192.0.2.1") == 2
    second.count_peer("192.0.2.1", 0)
    place = first._place("192.0.2.1", new=False)
    alike: list[str] = []
    number = 0
    while len(alike) < WAYS:
        number += 1
        other = f"peer {number}"
        found = first._place(other, new=True)
        if found is not None and place is not None and found // WAYS == place // WAYS:
            alike.append(other)
            first.count_peer(other, 1)
    assert first.of_peer("192.0.2.1") is None, "no room: it is counted in each worker alone"
    first.count_peer(alike[0], 0)
    assert first.of_peer("192.0.2.1") == 0


def test_a_lock_is_not_waited_for_for_ever() -> None:
    cells = Cells(1, 1)
    context = multiprocessing.get_context("fork")
    has, go_on = context.Event(), context.Event()

    def hold() -> None:
        with cells.lock(0):
            has.set()
            go_on.wait(10)

    process = context.Process(target=hold)
    process.start()
    has.wait(10)
    began = time.monotonic()
    with cells.lock(0):
        assert time.monotonic() - began < 1
    go_on.set()
    process.join()


def test_a_block_is_used_again_when_nothing_is_left_in_it() -> None:
    board = Board(2)
    plans = Plans(board)
    before = plans.make(Config(models={"a": ECHO, "b": ECHO}))
    assert plans.make(Config(models={"a": ECHO}))["a"] == before["a"]
    board.cells.write(column(before["b"].block, RUNNING), 0, 1)
    assert plans.make(Config(models={"a": ECHO, "c": ECHO}))["c"].block not in {before["a"].block, before["b"].block}
    board.cells.write(column(before["b"].block, RUNNING), 0, 0)
    assert plans.make(Config(models={"a": ECHO, "d": ECHO}))["d"].block == before["b"].block
    changed = plans.make(Config(models={"a": ModelConfig(backend="echo", slots=3)}))
    assert changed["a"].block != before["a"].block
    with pytest.raises(ValueError, match="several workers can serve 1000 models"):
        plans.make(Config(models={str(number): ECHO for number in range(BLOCKS + 1)}))
    assert plans.plan == changed


@pytest.mark.parametrize(
    ("here", "there", "told"),
    [
        ("ready", "ready", "ready"),
        ("ready", "loading", "loading"),
        ("loading", "ready", "loading"),
        ("ready", "failed", "failed"),
        ("sleeping", "ready", "ready"),
        ("unloaded", "stopping", "stopping"),
        ("unloaded", "unloaded", "unloaded"),
    ],
)
def test_one_state_is_told_everywhere(here: Any, there: Any, told: str) -> None:
    board = Board(2)
    companies = [SharedCompany("m", Post(board, row), Seat(0, 7)) for row in (0, 1)]
    for row in (0, 1):
        board.serve(row, serving=True)
    standings = [Standing(State(name), answers=name == "ready", withdrawn=False) for name in (here, there)]
    for company, standing in zip(companies, standings, strict=True):
        company.tell(standing)
    both = [company.together(standing) for company, standing in zip(companies, standings, strict=True)]
    assert [each.state.name for each in both] == [told, told]
    assert {each.answers for each in both} == {here == there == "ready"}
    assert companies[0].created == 7
    board.serve(1, serving=False)
    assert companies[0].together(standings[0]) == standings[0], "one that takes no connections does not count"
    companies[0].end()
    companies[0].tell(standings[1])
    assert board.unused(0) is False
    companies[1].end()
    assert board.unused(0)
