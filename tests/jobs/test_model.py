"""Stores against a model of what they promise, by steps that Hypothesis thinks of."""

from __future__ import annotations

import asyncio
import itertools
import math
import tempfile
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from msgspec import Struct

from openai_proxy.errors import TooManyJobs
from openai_proxy.jobs.job import FINAL, State
from openai_proxy.jobs.memory import MemoryStore
from openai_proxy.jobs.store import Bounds, Record, Store
from tests.jobs.conftest import fresh
from tests.jobs.stores import LEASE, record, step, words

T = TypeVar("T")
HOLDERS = st.sampled_from(["me", "you"])
OWNERS = st.sampled_from(["ann", "bob"])
MODELS = st.sampled_from(["echo", "other"])
SECONDS = st.sampled_from([LEASE, -1.0, 1e6])
ENDS = st.sampled_from(["succeeded", "failed", "canceled"])
MOST, ATTEMPTS = 4, 2


class Expected(Struct):
    """A job, as it should be."""

    owner: str
    model: str
    priority: int
    place: int
    key: str | None
    state: State = "queued"
    attempt: int = 0
    lease: str | None = None
    alive: bool = True
    canceling: bool = False
    words: tuple[str, ...] = ()
    created: float = 1.0

    @property
    def waits(self) -> bool:
        return self.state == "queued" and self.lease is None

    def end(self, state: State) -> None:
        self.state, self.lease = state, None

    def put_back(self) -> None:
        if self.canceling:
            self.end("canceled")
        else:
            self.state, self.lease, self.words = "queued", None, ()


class Claim(Struct, frozen=True):
    """What a holder believes to have, maybe wrongly by now."""

    holder: str
    id: str
    attempt: int


class Machine(RuleBasedStateMachine):
    """One store, and what should be in it."""

    claims: Bundle[Claim] = Bundle("claims")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.store: Store = self.made()
        self.do(self.store.open())
        self.expected: dict[str, Expected] = {}
        self.places = itertools.count()

    def made(self) -> Store:
        return MemoryStore()

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def teardown(self) -> None:
        self.do(self.store.close())
        self.runner.close()

    def queue(self, model: str) -> list[str]:
        """The ids of those that wait, as they should be."""
        waiting = [(-each.priority, each.place, id) for id, each in self.expected.items() if each.waits]
        return [id for _, _, id in sorted(waiting) if self.expected[id].model == model]

    @rule(owner=OWNERS, model=MODELS, priority=st.integers(-1, 1), key=st.sampled_from([None, None, "a", "b"]))
    def add(self, owner: str, model: str, priority: int, key: str | None) -> None:
        self._add(record(owner=owner, model=model, priority=priority, key=key))

    @rule(target=claims, owner=OWNERS, model=MODELS, holder=HOLDERS, seconds=SECONDS)
    def add_and_begin(self, owner: str, model: str, holder: str, seconds: float) -> Any:
        new = record(owner=owner, model=model, lease=holder, attempt=1)
        if not self._add(new, seconds) or self.queue(model):
            return multiple()
        expected = self.expected[new.id]
        expected.lease, expected.attempt, expected.alive = holder, 1, seconds == LEASE
        return Claim(holder, new.id, 1)

    def _add(self, new: Record, seconds: float = LEASE) -> bool:
        same = [id for id, each in self.expected.items() if new.key and (each.owner, each.key) == (new.owner, new.key)]
        waiting = sum(each.waits and each.owner == new.owner for each in self.expected.values())
        too_many = waiting >= MOST and new.lease is None
        try:
            kept = self.do(self.store.add(new, MOST, seconds))
        except TooManyJobs:
            assert too_many
            return False
        if same:
            assert kept.id == same[0]
            return False
        assert not too_many
        assert kept.id == new.id
        begun = kept.lease is not None
        expected = Expected(new.owner, new.model, new.priority, next(self.places), new.key)
        if not begun:
            self.expected[new.id] = expected
            return False
        assert not self.queue(new.model)
        self.expected[new.id] = expected
        expected.lease = kept.lease
        return True

    @rule(target=claims, holder=HOLDERS, model=MODELS, most=st.integers(1, 3), seconds=SECONDS)
    def claim(self, holder: str, model: str, most: int, seconds: float) -> Any:
        found = self.do(self.store.claim(holder, seconds, {model: most}))
        assert [job.id for job in found] == self.queue(model)[:most]
        for job in found:
            expected = self.expected[job.id]
            expected.attempt += 1
            expected.lease, expected.alive = holder, seconds == LEASE
            assert (job.attempt, job.request) == (expected.attempt, b"asked")
        return multiple(*(Claim(holder, job.id, job.attempt) for job in found))

    def _holds(self, claim: Claim) -> Expected | None:
        expected = self.expected.get(claim.id)
        mine = expected is not None and (expected.lease, expected.attempt) == (claim.holder, claim.attempt)
        return expected if mine else None

    @rule(claim=claims, more=st.lists(st.sampled_from(["x", "y"]), max_size=3), again=st.booleans())
    def write(self, claim: Claim, more: list[str], again: bool) -> None:
        self._write(claim, more, "running")
        if again:
            self._write(claim, more, "running", len(more))

    @rule(claim=claims, more=st.lists(st.sampled_from(["x", "y"]), max_size=3), state=ENDS)
    def end(self, claim: Claim, more: list[str], state: State) -> None:
        self._write(claim, more, state)

    def _write(self, claim: Claim, more: list[str], state: State, back: int = 0) -> None:
        expected = self._holds(claim)
        before = () if expected is None else expected.words[: len(expected.words) - back]
        held = Record(**{**_REST, "id": claim.id, "attempt": claim.attempt})
        finished = 2.0 if state in FINAL else None
        written = step(held, *more, begin=len(before), state=state, finished=finished)
        taken = self.do(self.store.write(claim.holder, [written]))
        if expected is None or (state == "succeeded" and expected.canceling):
            assert taken == set()
            return
        assert taken == {claim.id}
        expected.words = (*before, *more)
        expected.state = state
        if state in FINAL:
            expected.end(state)

    @rule(holder=HOLDERS)
    def beat(self, holder: str) -> None:
        self.do(self.store.beat(holder, LEASE))
        for each in self.expected.values():
            each.alive = each.alive or each.lease == holder

    @rule(claim=consumes(claims))
    def release(self, claim: Claim) -> None:
        self.do(self.store.release(claim.holder, {claim.id: claim.attempt}))
        expected = self._holds(claim)
        if expected is not None:
            expected.attempt -= not expected.canceling
            expected.put_back()

    @rule(holder=HOLDERS)
    def expire(self, holder: str) -> None:
        dead = [each for each in self.expected.values() if each.lease not in (None, holder) and not each.alive]
        assert self.do(self.store.expire(holder, LEASE, ATTEMPTS, None)).lost == len(dead)
        for each in dead:
            if each.attempt >= ATTEMPTS and not each.canceling:
                each.end("failed")
            else:
                each.put_back()

    @rule(number=st.integers(0, 20))
    def cancel(self, number: int) -> None:
        if not self.expected:
            return
        id = list(self.expected)[number % len(self.expected)]
        self.do(self.store.cancel(id))
        expected = self.expected[id]
        if expected.waits:
            expected.end("canceled")
        elif expected.state not in FINAL:
            expected.canceling = True

    @rule(number=st.integers(0, 20))
    def retry(self, number: int) -> None:
        if not self.expected:
            return
        id = list(self.expected)[number % len(self.expected)]
        expected = self.expected[id]
        again = expected.state in ("failed", "canceled")
        assert self.do(self.store.retry(id)) == again
        if again:
            expected.state, expected.attempt, expected.canceling, expected.words = "queued", 0, False, ()
            expected.created = math.inf

    @rule()
    def sweep(self) -> None:
        # Keys are of 1970, unless their jobs were done again.
        self.do(self.store.sweep(Bounds(1e12, 3, 10**12)))
        for each in self.expected.values():
            each.key = each.key if each.created > 1.0 else None
        ended = [id for id, each in self.expected.items() if each.state in FINAL]
        there = self.do(self.store.find(ended))
        assert len(there) == min(3, len(ended))
        for id in ended:
            if id not in there:
                del self.expected[id]

    @invariant()
    def all_is_as_it_should_be(self) -> None:
        there = self.do(self.store.find(list(self.expected)))
        assert there.keys() == self.expected.keys()
        for id, expected in self.expected.items():
            found = there[id]
            assert (found.state, found.lease, found.attempt) == (expected.state, expected.lease, expected.attempt)
            assert (found.finished is not None) == (expected.state in FINAL)
            assert found.events == len(expected.words)
            assert tuple(self.do(words(self.store, found))) == expected.words
        for model in ("echo", "other"):
            assert self.do(self.store.queue(model)) == self.queue(model)


_REST: dict[str, Any] = {"owner": "", "origin": "", "address": "", "kind": "chat", "model": ""}


@pytest.mark.parametrize(("kept_in", "examples"), [("memory", 60), ("sqlite", 12), ("postgresql", 6)])
def test_every_store_does_what_the_model_does(kept_in: str, examples: int, request: pytest.FixtureRequest) -> None:
    url: str = request.getfixturevalue("postgresql_url") if kept_in == "postgresql" else ""

    class Case(Machine):
        def made(self) -> Store:
            from openai_proxy.jobs.database import Database

            if kept_in == "memory":
                return MemoryStore()
            if url:
                return Database(fresh(url))
            self.folder = tempfile.TemporaryDirectory()
            return Database(f"sqlite:///{Path(self.folder.name)}/jobs.db")

        def teardown(self) -> None:
            super().teardown()
            if kept_in == "sqlite":
                self.folder.cleanup()

    calm = settings(
        max_examples=examples, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(Case, settings=calm)
