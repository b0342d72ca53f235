"""What every backend promises, whatever its engine: run for each line of BACKENDS."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
from collections.abc import AsyncGenerator, Coroutine, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec import Struct
from msgspec.structs import replace

import vision
from backends import BACKENDS, KINDS, Backend, Kind
from backends.errors import BackendError, Refused, Unavailable
from backends.events import (
    Delta,
    Embedding,
    Event,
    Finish,
    Outcome,
    Picture,
    Progress,
    Score,
    Segment,
    Sound,
    Tokens,
    Usage,
)
from backends.requests import DetokenizeRequest, Request, Sampling
from openai_proxy.fake_upstream.script import Script
from tests.backends.asking import ask
from tests.backends.conftest import SHARED
from tests.backends.known import EXTRA
from tests.backends.plans import PLANS, Plan, build, marks
from tests.upstream import threaded

T = TypeVar("T")
TESTS = Path(__file__).parent
LONG = 200
RANKS = {Progress: 0, Delta: 1, Segment: 1, Embedding: 1, Score: 1, Sound: 1, Picture: 1, Finish: 2, Usage: 3}
CLASSES = {"json_object": "JsonObject", "json_schema": "JsonSchema"}


class Started:
    """A started backend and the loop that it lives in."""

    def __init__(self, plan: Plan, backend: Backend, runner: asyncio.Runner) -> None:
        self.plan = plan
        self.backend = backend
        self.runner = runner

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def events(self, request: Request) -> list[Event]:
        return self.run(gathered(self.backend.run(request)))


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(
            plan,
            id="-".join([plan.backend, plan.model or plan.options.get("backend", ""), *plan.options][:3]),
            marks=marks(plan),
        )
        for plan in PLANS
    ],
)
def started(request: pytest.FixtureRequest) -> Iterator[Started]:
    shared = request.param.shared
    if shared in SHARED:
        with request.getfixturevalue("engines").use(shared) as served:
            yield Started(request.param, served.backend, served.runner)
        return
    if shared:
        served = request.getfixturevalue(shared)
        yield Started(request.param, served.backend, served.runner)
        return
    more = request.getfixturevalue(request.param.needs) if request.param.needs else {}
    with asyncio.Runner() as runner, threaded(models=("conforming",), script=Script(delay=0.01)) as upstream:
        backend = build(request.param, upstream.url, more)
        runner.run(backend.start())
        yield Started(request.param, backend, runner)
        runner.run(backend.close())
        assert backend.state.name == "stopped"


async def gathered(events: AsyncGenerator[Event]) -> list[Event]:
    async with aclosing(events):
        return [event async for event in events]


def kinds(started: Started) -> list[Kind]:
    return sorted(started.backend.model.kinds)


def words(started: Started) -> Kind:
    """A kind whose answer is a stream of words."""
    for kind in kinds(started):
        if kind in ("chat", "completion"):
            return kind
    pytest.skip("makes no words")


def reading(started: Started) -> list[Kind]:
    """The kinds for which the model itself reads; a tokenizer's answer is one event."""
    return [kind for kind in kinds(started) if kind != "tokenize"]


def test_every_backend_takes_part() -> None:
    assert {plan.backend for plan in PLANS} == set(BACKENDS)


def test_it_is_ready_and_says_what_it_takes(started: Started) -> None:
    assert started.backend.state.name == "ready"
    assert started.backend.model.kinds
    model = started.backend.model
    assert model.dimensions or model.relays or "embedding" not in model.kinds


def test_every_honoured_parameter_has_a_test_of_its_own(started: Started) -> None:
    place = TESTS / started.plan.tests
    files = sorted(place.glob("test_*.py")) if place.is_dir() else sorted(TESTS.glob(started.plan.tests))
    text = "".join(file.read_text() for file in files)
    honoured = started.backend.model.parameters - started.plan.idle
    assert {name for name in honoured if not re.search(rf"\b{CLASSES.get(name, name)}\b", text)} == set()


def test_events_come_in_order(started: Started) -> None:
    for kind in reading(started):
        events = started.events(ask(kind))
        ranks = [RANKS[type(event)] for event in events]
        assert ranks == sorted(ranks)
        assert ranks.count(3) == 1
        usage = events[-1]
        assert isinstance(usage, Usage)
        assert usage.prompt > 0 or usage.seconds > 0


def test_every_choice_finishes_once(started: Started) -> None:
    events = started.events(ask(words(started), n=3))
    assert sorted(event.index for event in events if isinstance(event, Finish)) == [0, 1, 2]
    assert {event.index for event in events if isinstance(event, Delta)} <= {0, 1, 2}
    finished: set[int] = set()
    for event in events:
        if isinstance(event, Finish):
            finished.add(event.index)
        assert not (isinstance(event, Delta) and event.index in finished)


def test_every_input_gets_one_vector(started: Started) -> None:
    if "embedding" not in started.backend.model.kinds:
        pytest.skip("makes no vectors")
    vectors = [event for event in started.events(ask("embedding")) if isinstance(event, Embedding)]
    assert sorted(event.index for event in vectors) == [0, 1]
    assert {len(event.vector) for event in vectors} == {4 * (started.backend.model.dimensions or 8)}


def test_every_document_gets_one_score_and_the_query_itself_the_best(started: Started) -> None:
    if "score" not in started.backend.model.kinds:
        pytest.skip("makes no scores")
    scores = [event for event in started.events(ask("score")) if isinstance(event, Score)]
    assert sorted(event.index for event in scores) == [0, 1]
    assert max(scores, key=lambda event: event.value).index == 1


def test_speech_is_sound_of_one_rate_and_ends(started: Started) -> None:
    if "speech" not in started.backend.model.kinds:
        pytest.skip("does not speak")
    *sounds, usage = started.events(ask("speech"))
    found = [event for event in sounds if isinstance(event, Sound)]
    assert len(found) == len(sounds)
    assert len({event.rate for event in found}) == 1
    assert all(len(event.data) % 2 == 0 for event in found)
    assert found[-1].ends
    seconds = sum(len(event.data) for event in found) / 2 / found[0].rate
    assert isinstance(usage, Usage)
    assert seconds > 0
    assert usage.seconds == pytest.approx(seconds)


def test_as_many_pictures_are_drawn_as_were_asked_for(started: Started) -> None:
    if "image" not in started.backend.model.kinds:
        pytest.skip("draws nothing")
    events = started.events(replace(ask("image"), n=2))
    pictures = [event for event in events if isinstance(event, Picture)]
    assert sorted(event.index for event in pictures if event.partial is None) == [0, 1]
    assert {vision.inspect(event.data, vision.Limits()).media_type for event in pictures} == {"image/png"}


def test_a_tokenizer_answers_with_one_event_and_finds_its_way_back(started: Started) -> None:
    if "tokenize" not in started.backend.model.kinds:
        pytest.skip("has no tokenizer to ask")
    for strings in (False, True):
        [found] = started.events(replace(ask("tokenize", "count one"), strings=strings))
        assert isinstance(found, Tokens)
        assert found.ids
        assert found.strings is None if not strings else len(found.strings or ()) == len(found.ids)
        [back] = started.events(DetokenizeRequest(model="m", tokens=found.ids))
        assert isinstance(back, Tokens)
        assert "count one" in back.text


def test_the_outcome_is_the_sum_of_the_events(started: Started) -> None:
    async def both(kind: Kind) -> tuple[list[Event], Outcome]:
        """One stream, seen twice: an engine need not say the same again."""
        events = await gathered(started.backend.run(ask(kind)))

        async def again() -> AsyncGenerator[Event]:
            for event in events:
                yield event

        return events, await Outcome.of(again())

    for kind in reading(started):
        events, outcome = started.run(both(kind))
        texts = [event.text for event in events if isinstance(event, Delta)]
        assert "".join(answer.text for answer in outcome.answers) == "".join(texts)
        assert len(outcome.vectors) == sum(isinstance(event, Embedding) for event in events)
        finished = [event for event in events if isinstance(event, Picture) and event.partial is None]
        assert len(outcome.pictures) == len(finished)
        assert len(outcome.scores) == sum(isinstance(event, Score) for event in events)
        assert outcome.usage == events[-1]


def test_wrong_kinds_are_refused(started: Started) -> None:
    for kind in set(KINDS.values()) - set(kinds(started)):
        with pytest.raises(Refused):
            started.events(ask(kind))


def test_many_run_at_once(started: Started) -> None:
    async def together(kind: Kind) -> list[list[Event]]:
        return await asyncio.gather(
            *(gathered(started.backend.run(ask(kind, f"Say {number}."))) for number in range(8))
        )

    for kind in reading(started):
        for events in started.run(together(kind)):
            assert isinstance(events[-1], Usage)


def tasks_left() -> set[asyncio.Task[Any]]:
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def settled(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    """Tasks that are still there after two seconds of patience."""
    for _ in range(100):
        if tasks_left() <= before:
            break
        await asyncio.sleep(0.02)
    return tasks_left() - before


def test_closing_early_stops_the_work_and_leaves_nothing(started: Started) -> None:
    request = ask(words(started), "word " * LONG, max_tokens=LONG)

    async def leave_early() -> set[asyncio.Task[Any]]:
        before = tasks_left()
        for _ in range(5):
            async with aclosing(started.backend.run(request)) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        break
        return await settled(before)

    assert started.run(leave_early()) == set()
    descriptors = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").is_dir() else 0
    assert started.run(leave_early()) == set()
    if descriptors:
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 1
    assert isinstance(started.events(ask(words(started)))[-1], Usage)


def test_a_cancelled_run_leaves_nothing(started: Started) -> None:
    request = replace(ask(words(started), "word " * LONG, max_tokens=LONG), extra=started.plan.slow)

    async def cancel() -> set[asyncio.Task[Any]]:
        before = tasks_left()
        running = asyncio.create_task(gathered(started.backend.run(request)))
        await asyncio.sleep(0.05)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return await settled(before)

    assert started.run(cancel()) == set()
    assert isinstance(started.events(ask(words(started)))[-1], Usage)


def test_a_stream_that_was_never_begun_costs_nothing(started: Started) -> None:
    async def drop() -> None:
        await started.backend.run(ask(kinds(started)[0])).aclose()

    started.run(drop())


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(plan, id=f"{plan.backend}{number}", marks=[pytest.mark.ray] * (plan.backend == "ray"))
        for number, plan in enumerate(PLANS)
    ],
)
def test_it_can_be_closed_at_any_time_and_refuses_while_it_does_not_run(plan: Plan) -> None:
    async def live() -> None:
        backend = build(plan)
        assert backend.state.name == "stopped"
        with pytest.raises(Unavailable):
            await gathered(backend.run(ask(sorted(backend.model.kinds)[0])))
        await backend.close()
        await backend.close()
        with pytest.raises(BackendError):
            await gathered(backend.run(ask(sorted(backend.model.kinds)[0])))

    asyncio.run(live())


def test_names_of_parameters_are_known() -> None:
    """A backend cannot honour a name that no request has: a slip would refuse the right one."""
    structs: tuple[type[Struct], ...] = (Sampling, *KINDS)
    fields = set(itertools.chain.from_iterable(struct.__struct_fields__ for struct in structs))
    known = fields | EXTRA
    for plan in PLANS:
        if plan.backend != "ray":  # it has those of the backend that it wraps
            assert build(plan).model.parameters <= known, plan
