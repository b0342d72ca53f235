"""One upstream for all tests here, clean before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.upstream import Upstream, threaded


@pytest.fixture(scope="session")
def shared_fake() -> Iterator[Upstream]:
    with threaded(models=("fake", "org/other")) as running:
        yield running


@pytest.fixture
def fake(shared_fake: Upstream) -> Upstream:
    shared_fake.wait_for(lambda seen: not seen.running)
    shared_fake.reset()
    return shared_fake
