"""Several processes that share their jobs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from backends.events import Delta
from openai_proxy.jobs.job import Job
from tests.jobs.office import Office

LONG = " ".join(["word"] * 100)
LEASE = 1.0

Hire: TypeAlias = Callable[..., Office]


@pytest.fixture
def hire(database: str, tmp_path: Path) -> Iterator[Hire]:
    """Start processes that share a database."""
    if database == "memory":
        pytest.skip("nobody shares it")
    offices: list[Office] = []

    def start(**settings: Any) -> Office:
        offices.append(Office(database, tmp_path, **{"lease": LEASE, **settings}))
        return offices[-1]

    yield start
    for office in offices:
        office.stop()


def until(office: Office, id: str, state: str) -> Job:
    """How the job stands when it is in that state."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        job: Job = office.ask("get", id)
        if job.state == state:
            return job
        time.sleep(0.02)
    raise AssertionError(f"{job} is not {state}")


def test_what_one_has_no_room_for_another_takes(hire: Hire) -> None:
    full, free = hire(slots=1), hire(slots=1)
    free.ask("open")
    jobs = [full.ask("submit", LONG, delay=0.02) for _ in range(2)]
    for id in jobs:
        until(full, id, "running")
    assert (full.ask("running"), free.ask("running")) == (1, 1)


def test_one_takes_over_what_another_was_at_when_it_died(hire: Hire) -> None:
    dies, lives = hire(slots=3), hire(slots=3)
    lives.ask("open")
    jobs = [dies.ask("submit", LONG, delay=0.01) for _ in range(2)]
    until(lives, jobs[0], "running")
    dies.kill()
    died = time.monotonic()
    for id in jobs:
        while (job := lives.ask("get", id)).attempt == 1:
            assert time.monotonic() < died + LEASE + 2.0
            time.sleep(0.05)
        job = lives.ask("wait", id)
        assert (job.state, job.attempt) == ("succeeded", 2)
        assert lives.ask("text", id) == LONG


def test_the_engine_of_another_process_stops_when_its_job_is_canceled(hire: Hire) -> None:
    works, cancels = hire(slots=4), hire(slots=4)
    cancels.ask("open")
    id = works.ask("submit", LONG, delay=0.02)
    until(cancels, id, "running")
    began = time.monotonic()
    asked = cancels.send("cancel", id)
    while works.ask("running"):
        assert time.monotonic() < began + 0.5
        time.sleep(0.01)
    assert cancels.answer(asked).state == "canceled"
    assert works.ask("get", id) == cancels.ask("get", id)
    assert 0 < len(cancels.ask("text", id)) < len(LONG)


def test_events_come_from_another_process_as_they_are_made(hire: Hire) -> None:
    works, reads = hire(slots=4), hire(slots=4)
    reads.ask("open")
    id = works.ask("submit", LONG, delay=0.02)
    begun = time.monotonic()
    followed, waited = reads.send("follow", id), reads.send("wait", id)
    assert reads.answer(waited).state == "succeeded"
    took = time.monotonic() - begun
    events = reads.answer(followed)
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    assert "".join(event.text for _, event, _ in events if isinstance(event, Delta)) == LONG
    times = [at - begun for _, _, at in events]
    assert len({round(at, 1) for at in times}) >= 2, "they come in portions"
    assert times[0] < took - 0.4


def test_what_was_done_again_by_another_process_is_not_told_from_memory(hire: Hire) -> None:
    first, other = hire(slots=4), hire(slots=4)
    other.ask("open")
    id = first.ask("submit", LONG, delay=0.02)
    assert first.ask("cancel", id).state == "canceled"
    other.ask("retry", id)
    assert first.ask("wait", id).state == "succeeded"
    assert first.ask("text", id) == LONG


def test_a_follower_hears_nothing_of_a_second_beginning(hire: Hire) -> None:
    gives_back, reads = hire(slots=4), hire(slots=4)
    reads.ask("open")
    id = gives_back.ask("submit", LONG, delay=0.02)
    until(reads, id, "running")
    followed = reads.send("follow", id)
    time.sleep(0.3)
    gives_back.stop()
    events = reads.answer(followed)
    assert [number for number, _, _ in events] == list(range(1, len(events) + 1))
    assert 0 < len(events) < 100
    assert reads.ask("wait", id).state == "succeeded"
    assert reads.ask("text", id) == LONG


def test_what_was_left_waiting_goes_before_what_comes_now(hire: Hire) -> None:
    dies = hire(slots=2)
    jobs = [dies.ask("submit", f"{number} {LONG}", delay=0.002) for number in range(4)]
    dies.kill()
    lives = hire(slots=2)
    late = lives.ask("submit", LONG, delay=0.002)
    begun = [lives.ask("wait", id).started for id in (*jobs[1:], late)]
    assert begun == sorted(begun)
