"""Another pool by SIGHUP, while streams run: those end well where they are, what is new goes where it shall."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.backends.remote.asking import SAID, Got, asked, got, happens, line, metrics, post, upstream_row
from tests.backends.remote.conftest import Pair
from tests.backends.remote.serving import FORGIVING, SERVER, model, table
from tests.conftest import servers
from tests.running import Running
from tests.upstream import Upstream

PLAIN = post({"model": "m", "messages": SAID})


class Reloaded:
    """A server whose pool changes."""

    def __init__(self, folder: Path, bad: Upstream, good: Upstream) -> None:
        self.folder = folder
        self.bad = {"url": bad.url, "name": "bad"}
        self.good = {"url": good.url, "name": "good"}
        self.server: Running
        self.revision = 1

    def text(self, *upstreams: Mapping[str, Any]) -> str:
        return SERVER + model("m", *upstreams, settings=FORGIVING)

    def reload(self, text: str) -> None:
        """Returns once it is in force."""
        (self.folder / "config0.toml").write_text(text)
        self.server.process.send_signal(signal.SIGHUP)
        self.revision += 1
        happens(lambda: metrics(self.server)["config_revision"] == self.revision)


@pytest.fixture
def pool(tmp_path: Path, bad: Upstream, good: Upstream) -> Iterator[Reloaded]:
    """Begins with `bad` alone, which streams for two seconds."""
    bad.reset()
    good.reset()
    bad.script(chunks=100, delay=0.02)
    reloaded = Reloaded(tmp_path, bad, good)
    with servers(tmp_path) as start:
        reloaded.server = start(reloaded.text(reloaded.bad))
        yield reloaded


@asynccontextmanager
async def streaming(server: Running) -> Any:
    async with line(server, post({"model": "m", "messages": SAID, "stream": True})) as connection:
        await connection.until(b"0000001 ")
        yield connection


def unharmed(stream: Got) -> bool:
    return stream.done and stream.clean and len(stream.chunks) == 100


def test_an_upstream_that_is_removed_ends_what_it_has(pool: Reloaded, bad: Upstream, good: Upstream) -> None:
    """And nobody who asks meanwhile sees anything of it."""
    statuses: list[int] = []

    async def ask() -> None:
        while True:
            statuses.append((await got(pool.server, PLAIN)).status)

    async def story() -> Got:
        async with streaming(pool.server) as stream:
            asking = asyncio.create_task(ask())
            await asyncio.to_thread(pool.reload, pool.text(pool.good))
            before = len(statuses)
            while len(statuses) < before + 20:
                await asyncio.sleep(0.01)
            asking.cancel()
            arrived = Pair.arrived(bad)
            assert [(await got(pool.server, PLAIN)).status for _ in range(10)] == [200] * 10
            assert Pair.arrived(bad) == arrived
            ended: Got = await stream.rest()
            return ended

    assert unharmed(asyncio.run(story()))
    assert set(statuses) == {200}
    assert Pair.arrived(good) >= 20
    bad.wait_for(lambda seen: seen.connections == 0, 3)


def test_drained_and_undrained(pool: Reloaded, bad: Upstream, good: Upstream) -> None:
    async def story() -> Got:
        async with streaming(pool.server) as stream:
            await asyncio.to_thread(pool.reload, pool.text({**pool.bad, "drained": True}, pool.good))
            assert [(await got(pool.server, PLAIN)).status for _ in range(10)] == [200] * 10
            assert (Pair.arrived(bad), Pair.arrived(good)) == (1, 10)
            ended: Got = await stream.rest()
            return ended

    assert unharmed(asyncio.run(story()))
    pool.reload(pool.text(pool.bad, {**pool.good, "drained": True}))
    assert asked(pool.server, "m").status == 200
    assert (Pair.arrived(bad), Pair.arrived(good)) == (2, 10)
    pool.reload(pool.text({**pool.bad, "drained": True}, {**pool.good, "drained": True}))
    answer = asked(pool.server, "m")
    assert (answer.status, answer.code, answer.head["retry-after"]) == (503, "engine_unavailable", "60")


def test_who_is_new_and_silent_holds_nobody_up(pool: Reloaded, good: Upstream) -> None:
    """Until a probe has found it, an upstream gets nothing while another is there."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        pool.reload(pool.text({"url": url, "name": "silent", "weight": 1000}, pool.good))
        answers = [asked(pool.server, "m") for _ in range(20)]
        assert {answer.status for answer in answers} == {200}
        assert max(answer.took for answer in answers) < 1
        assert Pair.arrived(good) == 20


def test_a_wrong_pool_changes_nothing(pool: Reloaded, bad: Upstream) -> None:
    (pool.folder / "config0.toml").write_text(pool.text({"url": "ftp://nobody"}))
    pool.server.process.send_signal(signal.SIGHUP)
    happens(lambda: metrics(pool.server)["config_rejected_total"] == 1)
    assert asked(pool.server, "m").status == 200
    assert Pair.arrived(bad) == 1


def test_who_stays_keeps_what_is_known_of_it(pool: Reloaded, bad: Upstream, good: Upstream) -> None:
    """Drained at run time it stays so; its requests are counted on, also those that still run."""
    row = upstream_row("requests_total", "m", "bad", "succeeded")

    async def story() -> Got:
        async with streaming(pool.server) as stream:
            assert httpx2.post(f"{pool.server.url}/admin/models/m/upstreams/bad/drain", timeout=5).is_success
            await asyncio.to_thread(pool.reload, pool.text({**pool.bad, "weight": 3}, pool.good))
            assert [(await got(pool.server, PLAIN)).status for _ in range(10)] == [200] * 10
            ended: Got = await stream.rest()
            return ended

    assert asked(pool.server, "m").status == 200
    before = metrics(pool.server)[row]
    assert unharmed(asyncio.run(story()))
    assert (Pair.arrived(bad), Pair.arrived(good)) == (2, 10)
    happens(lambda: metrics(pool.server)[row] == before + 1)


def test_a_name_that_was_found_is_never_gone(pool: Reloaded, bad: Upstream) -> None:
    """Not even while the new pool has heard nothing of the upstream yet."""
    bad.script(listed=[{"id": "theirs"}])
    box = table("models.box", {"backend": "remote", "upstreams": [pool.bad]})
    options = {**FORGIVING, "models": "*"}
    pool.reload(SERVER + box + table("models.box.options", options))
    happens(lambda: asked(pool.server, "theirs").status == 200)
    bad.script(latency=0.5)
    pool.reload(SERVER + box + table("models.box.options", {**options, "retries": 1}))
    assert asked(pool.server, "theirs").status == 200
