"""Processes that die at any moment: no promise is broken."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.jobs.killing import Killing


def _kill(database: str, folder: Path, kills: int, offices: int) -> None:
    if database == "memory":
        pytest.skip("memory dies with its process")
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    killing = Killing(database, folder, seed, offices=offices)
    killing.run(kills)
    print(
        f"{kills} kills, {len(killing.promised)} jobs; the last had ended {killing.drained:.1f} s after the last kill"
    )


def test_nothing_promised_is_lost_when_processes_are_killed(database: str, tmp_path: Path) -> None:
    _kill(database, tmp_path, 3, 2)


@pytest.mark.soak
@pytest.mark.parametrize("offices", [1, 2])
def test_nothing_promised_is_lost_by_two_hundred_kills(database: str, tmp_path: Path, offices: int) -> None:
    _kill(database, tmp_path, 100, offices)
