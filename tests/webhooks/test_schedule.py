"""When it is tried again."""

from __future__ import annotations

import itertools
import random

import pytest

from openai_proxy.webhooks import schedule


@pytest.mark.parametrize("tries", [2, 3, 5, 20])
def test_pauses_grow_and_take_the_time_that_is_given(tries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "random", lambda: 0.0)
    pauses = [schedule.pause(tried, tries, 3600.0) for tried in range(1, tries)]
    assert sum(pauses) == pytest.approx(3600.0)
    assert all(after == pytest.approx(4 * before) for before, after in itertools.pairwise(pauses))
    monkeypatch.setattr(random, "random", lambda: 1.0)
    assert schedule.pause(1, tries, 3600.0) == pytest.approx(0.75 * pauses[0])
