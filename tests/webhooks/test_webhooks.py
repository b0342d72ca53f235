"""Webhooks beside their jobs, for a dialect of the tests' own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from openai_proxy.config import WebhookSettings
from openai_proxy.errors import StoreFailed, TooManyJobs
from openai_proxy.jobs.job import Order
from openai_proxy.jobs.shelf import Errand, MemoryShelf
from openai_proxy.webhooks import webhooks
from openai_proxy.webhooks.calling import Message
from openai_proxy.webhooks.webhooks import Hook, Webhooks
from tests.jobs.desk import Desk, desk

HOOK = Hook(teller="test", job="j", owner="ann", url="http://a.example/", events=(), place="")


class Told:
    """Tells `start` at once and `completed` when the job has ended."""

    def __init__(self, server: Desk) -> None:
        self.server = server

    async def early(self, hook: Hook) -> AsyncGenerator[Message, None]:
        for name in ("start", "output"):
            yield Message(name, f"{hook.id}_{name}", self.body)

    async def last(self, hook: Hook) -> Message | None:
        await self.server.jobs.wait(hook.job, None)
        return Message("completed", f"{hook.id}_completed", self.body)

    async def body(self) -> bytes:
        return b"{}"


class Post:
    """In the place of calls: what was told, and how each of those ends, the last one again and again."""

    def __init__(self, *outcomes: str) -> None:
        self.outcomes = list(outcomes)
        self.told: list[tuple[str, str]] = []

    async def call(self, url: str, message: Message, what: str) -> str:
        self.told.append((message.event, message.id))
        await asyncio.sleep(0)
        return self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.told]


@asynccontextmanager
async def told(folder: Path, *outcomes: str, **settings: Any) -> AsyncIterator[tuple[Desk, Webhooks, Post]]:
    async with desk("memory", folder) as server:
        given = WebhookSettings(**{"retry_time": 0.01, "tries": 3, **settings})
        server.edge.config = replace(server.edge.config, webhooks=given)
        hooks, post = server.edge.webhooks, Post(*outcomes or ("delivered",))
        hooks.caller = post  # type: ignore[assignment]
        hooks.told_by("test", Told(server))
        yield server, hooks, post
        await hooks.close()


async def until(there: Callable[[], bool], patience: float = 10.0) -> None:
    end = time.monotonic() + patience
    while not there():
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


async def shelved(server: Desk) -> list[Errand]:
    assert isinstance(server.jobs.errands.shelf, MemoryShelf)
    return list(server.jobs.errands.shelf.errands.values())


def run(work: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def test_all_is_told_and_then_forgotten(tmp_path: Path) -> None:
    async def check() -> None:
        async with told(tmp_path) as (server, hooks, post):
            job = await hooks.submit(server.order(), HOOK)
            assert job.id == "j"
            await until(lambda: not hooks._tasks)
            assert post.events == ["start", "output", "completed"]
            [errand] = await shelved(server)
            assert (errand.state, errand.due) == ("done", None)
            assert errand.until is not None
            assert errand.until <= time.time()

    run(check)


def test_who_does_not_take_one_hears_the_end_alone_and_who_is_gone_nothing(tmp_path: Path) -> None:
    async def check() -> None:
        async with told(tmp_path, "timed_out", "refused", "delivered") as (server, hooks, post):
            await hooks.submit(server.order(), HOOK)
            await until(lambda: len(post.told) == 3)
            assert post.events == ["start", "completed", "completed"]
            assert post.told[1] == post.told[2]
        async with told(tmp_path, "gone") as (server, hooks, post):
            await hooks.submit(server.order(), HOOK)
            await until(lambda: not hooks._tasks)
            assert post.events == ["start"]
            assert (await shelved(server))[0].state == "done"

    run(check)


def test_so_many_of_one_key_wait(tmp_path: Path) -> None:
    async def check() -> None:
        async with told(tmp_path, "refused", retry_time=1000.0, waiting=2) as (server, hooks, _):
            for id in ("a", "b"):
                await hooks.submit(server.order(), replace(HOOK, job=id))
            with pytest.raises(TooManyJobs):
                await hooks.submit(server.order(), replace(HOOK, job="c"))
            await hooks.submit(server.order(), replace(HOOK, job="c", owner="bob"))

    run(check)


def test_a_webhook_whose_job_was_refused_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with told(tmp_path) as (server, hooks, post):

            async def refuse(_: object) -> None:
                raise StoreFailed

            with monkeypatch.context() as patched:
                patched.setattr(server.jobs, "submit", refuse)
                with pytest.raises(StoreFailed):
                    await hooks.submit(server.order(), HOOK)
            await until(lambda: not hooks._tasks)
            assert [errand.state for errand in await shelved(server)] == ["done"]
            first = await hooks.submit(server.order(key="k", digest=b"d"), replace(HOOK, job="first"))
            again = await hooks.submit(server.order(key="k", digest=b"d"), replace(HOOK, job="second"))
            assert (first.id, again.id) == ("first", "first")
            await until(lambda: not hooks._tasks)
            assert {errand.state for errand in await shelved(server)} == {"done"}
            assert post.events == ["start", "output", "completed"]

    run(check)


def test_one_whose_client_left_while_its_job_was_stored_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def check() -> None:
        async with told(tmp_path) as (server, hooks, post):
            stored, submit = asyncio.Event(), server.jobs.submit

            async def linger(order: Order) -> None:
                await submit(order)
                stored.set()
                await asyncio.Event().wait()

            with monkeypatch.context() as patched:
                patched.setattr(server.jobs, "submit", linger)
                task = asyncio.create_task(hooks.submit(server.order(), HOOK))
                await stored.wait()
                task.cancel()
                await asyncio.wait([task])
            await until(lambda: "completed" in post.events)

    run(check)


def test_what_somebody_left_is_taken_over_or_put_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with told(tmp_path) as (server, hooks, post):
            job = await server.jobs.submit(server.order())
            left = Errand(
                id="webhook/x",
                origin=webhooks.ORIGIN,
                owner="ann",
                state="waiting",
                data=msgspec.msgpack.encode(replace(HOOK, job=job.id, tries=1)),
                created=time.time(),
            )
            with monkeypatch.context() as patched:
                patched.setattr(webhooks, "IN_HAND", 0)
                assert await server.jobs.errands.begin(left)
                await until(lambda: left.version == 2)
                [errand] = await shelved(server)
                assert (errand.due or 0.0) > time.time() + 20
                assert post.told == []
            errand.due = 0.0
            await until(lambda: post.events == ["completed"])
            await until(lambda: not hooks._tasks)
            assert (await shelved(server))[0].state == "done"

    run(check)


def test_a_webhook_without_its_job_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with told(tmp_path) as (server, hooks, post):
            monkeypatch.setattr(webhooks, "YOUNG", 0.0)
            lost = replace(HOOK, job="none", tries=1)
            data = msgspec.msgpack.encode(lost)
            await server.jobs.open()
            errand = Errand(id="w", origin=webhooks.ORIGIN, owner="ann", state="waiting", data=data, created=0.0)
            await server.jobs.errands.begin(errand)
            await until(lambda: (hooks.metrics.webhooks_given_up.value) == 1)
            assert post.told == []

    run(check)
