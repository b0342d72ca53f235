"""Two upstreams, the first of which may be bad, and a server in front of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypeAlias

import pytest

from tests.backends.remote.asking import asked, happens, metrics, open_descriptors
from tests.backends.remote.serving import FORGIVING, SERVER, model, table
from tests.conftest import servers
from tests.running import Running
from tests.upstream import Upstream, threaded

Http: TypeAlias = Literal["own", "aiohttp"]
TIMEOUTS = {"first_token": 0.5, "between_tokens": 0.5, "request": 2.0}
# For tests that wait: one client is enough.
own_client = pytest.mark.parametrize("http", ["own"], indirect=True)


class Pair:
    """A server with the models `pair`, which asks `bad` first if `user` asks, and `alone`, which has only `bad`."""

    def __init__(self, server: Running, bad: Upstream, good: Upstream) -> None:
        self.server = server
        self.bad = bad
        self.good = good
        self.user = next(user for user in map(str, range(100)) if self._meets_bad(user))
        self.forget()
        self.descriptors = open_descriptors(server)

    def _meets_bad(self, user: str) -> bool:
        self.bad.reset()
        assert asked(self.server, "pair", user=user).status == 200
        return self.arrived(self.bad) == 1

    def forget(self) -> None:
        self.bad.reset()
        self.good.reset()

    @staticmethod
    def arrived(upstream: Upstream) -> int:
        """Requests for a model's work."""
        seen = upstream.seen(0)
        return sum(count for path, count in seen.paths.items() if path not in ("/v1/models", "/health", "/metrics"))

    def counts(self) -> tuple[int, int]:
        """How many requests came to either."""
        return self.arrived(self.bad), self.arrived(self.good)

    def idle(self) -> bool:
        """Whether nothing is left of any request: no slot, no request at an upstream, no descriptor."""
        now = metrics(self.server)
        gauges = ("requests_running{", "requests_waiting{", "upstream_outstanding{")
        busy = any(value for name, value in now.items() if name.startswith(gauges))
        # Probes come and go: two for each model and upstream may be open.
        return not busy and open_descriptors(self.server) <= self.descriptors + 4


@pytest.fixture(scope="module", params=["own", "aiohttp"])
def http(request: pytest.FixtureRequest) -> Http:
    """Which client speaks HTTP with the upstreams: the tests of a file that takes `pair` run with both."""
    kind: Http = request.param
    return kind


@pytest.fixture(scope="module")
def bad() -> Iterator[Upstream]:
    with threaded(models=("theirs",), name="bad", kept=1000) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def good() -> Iterator[Upstream]:
    with threaded(models=("theirs",), name="good", kept=1000) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def served(http: Http, bad: Upstream, good: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    first, second = {"url": bad.url, "name": "bad"}, {"url": good.url, "name": "good"}
    settings = {**FORGIVING, "client": http, "strategy": "session"}
    models = model("pair", first, second, settings=settings) + model("alone", first, settings=settings)
    with servers(tmp_path_factory.mktemp("pair")) as start:
        yield Pair(start(SERVER + table("timeouts", TIMEOUTS) + models), bad, good)


@pytest.fixture
def pair(served: Pair) -> Iterator[Pair]:
    """After each test nothing must be left of it, and the server must serve."""
    served.forget()
    yield served
    served.forget()
    happens(served.idle, 3)
    answer = asked(served.server, "pair", user=served.user, stream=True)
    assert answer.done, answer.body
    assert served.counts() == (1, 0)
