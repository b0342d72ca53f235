"""Jobs in processes that are killed again and again; what must be true of them in the end."""

from __future__ import annotations

import itertools
import random
import sqlite3
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from msgspec import Struct

from backends.events import Finish, Usage
from openai_proxy.jobs.job import Job
from openai_proxy.jobs.result import Result
from tests.jobs.office import Died, Office

OWNERS = ("ann", "bob", "cid")
# Short, that a test is; attempts without end, as here it is not the jobs' fault.
SETTINGS: dict[str, Any] = {"lease": 1.0, "attempts": 10_000, "keep_count": 100_000}
STUCK = 60.0


class Promise(Struct):
    """A job that was promised; `wanted` is None once somebody tried to cancel it."""

    wanted: str | None
    seen: Job | None = None


class Killing:
    """Keeps `jobs` jobs in the hands of so many offices at most. `seed` says all that happens by chance."""

    def __init__(self, database: str, home: Path, seed: int, *, offices: int = 1, jobs: int = 50) -> None:
        self.database = database
        self.home = home
        self.offices = offices
        self.jobs = jobs
        self.random = random.Random(seed)
        self.promised: dict[str, Promise] = {}
        self.open: set[str] = set()
        self.kills = 0
        self.drained = 0.0
        self._names = itertools.count()
        self._asked: dict[tuple[Office, int], str] = {}

    def office(self) -> Office:
        return Office(self.database, self.home, slots=8, **SETTINGS)

    def run(self, kills: int) -> None:
        """So many kills, then until all has ended."""
        offices = [self.office()]
        try:
            while self.kills < kills:
                if len(offices) < self.offices and self.random.random() < 0.5:
                    offices.append(self.office())
                self._work(offices)
                dead = offices.pop(self.random.randrange(len(offices)))
                if self.offices > 1 and self.random.random() < 0.2:
                    dead.send("stop")
                    time.sleep(self.random.random() * 0.1)
                dead.kill()
                self.kills += 1
                self._heard(dead)
                offices = offices or [self.office()]
            self._finish(offices)
        finally:
            for office in offices:
                office.stop()

    def _work(self, offices: list[Office]) -> None:
        """Hand jobs in, look, cancel, for up to half a second, mostly of one that has begun to serve."""
        first = offices[0]
        if self.random.random() < 0.9:
            first.ask("open")
        end = time.monotonic() + self.random.random() * 0.5
        for _ in range(self.jobs - len(self.open)):
            self._submit(self.random.choice(offices))
        while time.monotonic() < end:
            for office in offices:
                office.take(0.02)
                self._heard(office)
            if self.open:
                some = self.random.sample(sorted(self.open), min(5, len(self.open)))
                self._look(first, some)
                if self.random.random() < 0.1:
                    self.promised[some[0]].wanted = None
                    first.send("cancel", some[0])

    def _submit(self, office: Office) -> None:
        words = " ".join([f"job{next(self._names)}", *["word"] * self.random.randrange(30)])
        owner = self.random.choice(OWNERS)
        self._asked[office, office.send("submit", words, delay=0.02, owner=owner)] = words

    def _heard(self, office: Office) -> None:
        for number in list(office.answers):
            answer = office.answers.pop(number)
            words = self._asked.pop((office, number), None)
            if words is not None:
                assert isinstance(answer, str), answer
                self.promised[answer] = Promise(words)
                self.open.add(answer)

    def _look(self, office: Office, ids: list[str]) -> None:
        """What was seen to have ended never changes; progress does not leave its bounds."""
        for id in ids:
            try:
                job: Job = office.ask("get", id)
            except Died:
                return
            promise = self.promised[id]
            if promise.seen is not None:
                assert job == promise.seen
            if job.ended:
                promise.seen = job
                self.open.discard(id)
            assert 0.0 <= job.progress <= (1.0 if job.ended else 0.99)

    def _finish(self, offices: list[Office]) -> None:
        begun = time.monotonic()
        self._hear_out(offices)
        office = offices[0]
        # Some were stored, but their promise did not arrive.
        for id in dict.fromkeys([*self.promised, *(job.id for _, job in office.ask("page", 100_000))]):
            job = office.ask("wait", id, STUCK)
            assert job.ended, f"{job} is stuck"
        self.drained = time.monotonic() - begun
        assert self.drained < STUCK
        page: list[tuple[int, Job]] = office.ask("page", 100_000)
        there = {job.id: job for _, job in page}
        assert self.promised.keys() <= there.keys()
        for id, promise in self.promised.items():
            self._check(office, there[id], promise)
        assert all(job.ended for job in there.values())
        if self.offices == 1:
            in_order(page)
        sound(self.database)

    def _hear_out(self, offices: list[Office]) -> None:
        """Until those who live have answered all that they were asked."""
        for office in offices:
            while any(asked is office for asked, _ in self._asked) and office.take(0.1):
                self._heard(office)

    def _check(self, office: Office, job: Job, promise: Promise) -> None:
        if promise.seen is not None:
            assert job == promise.seen
        assert office.ask("get", job.id) == job
        events = office.ask("events", job.id)
        assert len(events) == job.events
        numbers = [number for number, _, _ in office.ask("follow", job.id)]
        assert numbers == list(range(1, job.events + 1))
        result = Result.of(events)
        if job.state == "canceled":
            assert promise.wanted is None
            return
        assert job.state == "succeeded", job
        assert job.progress == 1.0
        assert promise.wanted in (None, result.text)
        assert [type(event) for event in events].count(Finish) == 1
        assert [type(event) for event in events].count(Usage) == 1


def in_order(page: list[tuple[int, Job]]) -> None:
    """Jobs of one owner that no crash disturbed were begun in the order in which they came."""
    begun: dict[str, list[float]] = defaultdict(list)
    for _, job in sorted(page, key=lambda each: each[0]):
        if job.attempt == 1 and job.started is not None:
            begun[job.owner].append(job.started)
    for times in begun.values():
        assert times == sorted(times)


def sound(database: str) -> None:
    """SQLite finds nothing broken, and there are only events of the last attempts."""
    if "://" in database:
        return
    connection = sqlite3.connect(database)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        stale = "SELECT count(*) FROM events JOIN jobs USING (id) WHERE events.attempt != jobs.attempt"
        assert connection.execute(stale).fetchall() == [(0,)]
        assert connection.execute("SELECT count(*) FROM jobs WHERE lease IS NOT NULL").fetchall() == [(0,)]
    finally:
        connection.close()
