"""Which requests are sent again, how often, and when: Retry-After, connections that went stale, and the budget."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.backends.remote.asking import SAID, asked, got, metrics, post
from tests.backends.remote.conftest import Pair
from tests.backends.remote.serving import FORGIVING, SERVER, model
from tests.conftest import servers
from tests.running import Running
from tests.upstream import Upstream


@pytest.fixture(scope="module")
def server(good: Upstream, bad: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    first, second = {"url": bad.url, "name": "bad"}, {"url": good.url, "name": "good"}
    text = SERVER + model("kept", {**first, "weight": 1000}, second, settings={**FORGIVING, "keep_alive": 30})
    text += "".join(model(f"storm{number}", first, second) for number in range(2))
    text += "".join(model(f"wait{number}", first, second) for number in range(2)) + model("lone", first)
    with servers(tmp_path_factory.mktemp("retries")) as start:
        yield start(text)


@pytest.fixture(autouse=True)
def forgotten(bad: Upstream, good: Upstream) -> None:
    bad.reset()
    good.reset()


@pytest.mark.parametrize(("fault", "name"), [("status-429", "wait0"), ("status-503", "wait1")])
def test_retry_after_is_kept_to(server: Running, bad: Upstream, good: Upstream, fault: str, name: str) -> None:
    """The upstream that is full is left alone for as long as it said, and asked again then."""
    bad.script(fault=fault, retry_after=1)
    began = time.monotonic()
    assert asked(server, name).status == 200
    assert (Pair.arrived(bad), Pair.arrived(good)) == (1, 1)
    bad.script(fault=None)
    while Pair.arrived(bad) == 1:
        assert asked(server, name).status == 200
        assert time.monotonic() < began + 3
    times = [request.began for request in bad.seen().last if request.path != "/v1/models"]
    assert 1 <= times[1] - times[0] < 1.5
    assert Pair.arrived(good) > 2


def test_all_are_full(server: Running, bad: Upstream) -> None:
    """The client is told what the upstream said, and then by us, without asking it."""
    bad.script(fault="status-429", retry_after=2)
    first, second = asked(server, "lone"), asked(server, "lone")
    assert (first.status, first.head["retry-after"]) == (429, "2")
    assert (second.status, second.head["retry-after"]) == (503, "2")
    assert second.took < 0.1
    assert Pair.arrived(bad) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_connection_that_went_stale_is_no_failure(
    server: Running, bad: Upstream, good: Upstream, stream: bool
) -> None:
    """Reset at once, and used before: the upstream had closed it, and never saw the request."""
    assert asked(server, "kept", stream=stream).status == 200
    bad.script(fault="reset-before")
    assert asked(server, "kept", stream=stream).status == 200
    assert (Pair.arrived(bad), Pair.arrived(good)) == (2, 1)


def test_one_that_was_in_use_for_longer_may_have_begun(server: Running, bad: Upstream, good: Upstream) -> None:
    assert asked(server, "kept").status == 200
    bad.script(fault="reset-before", latency=0.7)
    answer = asked(server, "kept")
    assert (answer.status, answer.code) == (500, "engine_failed")
    assert (Pair.arrived(bad), Pair.arrived(good)) == (2, 0)


@pytest.mark.parametrize(
    ("name", "fault", "key", "status"), [("storm0", "status-429", False, 429), ("storm1", "close-before", True, 500)]
)
def test_a_storm_is_not_made_worse(
    server: Running, bad: Upstream, good: Upstream, name: str, fault: str, key: bool, status: int
) -> None:
    """Of 400 requests half meet the bad one: a fifth and the reserve of ten are sent again, no more."""
    bad.script(fault=fault, retry_after=None)
    headers = {"idempotency_key": "x"} if key else {}
    request = post({"model": name, "messages": SAID}, **headers)
    statuses: list[int] = []

    async def worker() -> None:
        for _ in range(25):
            statuses.append((await got(server, request)).status)

    async def storm() -> None:
        await asyncio.gather(*(worker() for _ in range(16)))

    asyncio.run(storm())
    arrived = Pair.arrived(bad) + Pair.arrived(good)
    denied = metrics(server)[f'upstream_retries_denied_total{{model="{name}"}}']
    assert 400 < arrived <= 400 * 1.2 + 10
    assert set(statuses) == {200, status}
    assert statuses.count(200) == Pair.arrived(good)
    assert denied == statuses.count(status) > 50
