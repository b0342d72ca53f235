"""Options that only an engine set up for them has: priorities, and a budget for thinking."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from typing import Any

import pytest

from backends import Setup
from backends.events import Outcome
from backends.vllm import Vllm
from tests.backends.conftest import ENVIRONMENT, Served, checkpoint
from tests.backends.vllm.asking import continues

ENGINE: dict[str, Any] = {"dtype": "float32", "enforce_eager": True, "max_model_len": 512, "max_num_seqs": 1}
# A tiny model does not think: these words stand for the marks of one that does.
MARKS = {"reasoning_start_str": "Think:", "reasoning_end_str": " Done."}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    os.environ.update(ENVIRONMENT)
    engine = {**ENGINE, "scheduling_policy": "priority", "reasoning_config": MARKS}
    with asyncio.Runner() as runner:
        backend = Vllm(Setup(name="m", model=checkpoint("tiny-llama"), engine=engine))
        runner.run(backend.start())
        yield Served(runner, backend)
        runner.run(backend.close())


def test_slots_leave_the_order_to_an_engine_with_priorities() -> None:
    assert Vllm(Setup(name="m", model="/x", engine=ENGINE)).slots == 1
    assert Vllm(Setup(name="m", model="/x", engine={**ENGINE, "scheduling_policy": "priority"})).slots > 100


@pytest.mark.vllm
@pytest.mark.slow
def test_it_says_what_it_honours(served: Served) -> None:
    assert served.backend.model.parameters >= {"priority", "thinking_token_budget"}


@pytest.mark.vllm
@pytest.mark.slow
def test_a_lower_priority_number_goes_first(served: Served) -> None:
    ended: list[int] = []

    async def ask(priority: int, tokens: int) -> None:
        request = continues("Once", max_tokens=tokens, extra={"ignore_eos": True, "priority": priority})
        await Outcome.of(served.backend.run(request))
        ended.append(priority)

    async def together() -> None:
        first = asyncio.create_task(ask(-9, 200))  # keeps the engine busy while the others line up
        await asyncio.gather(first, *(ask(priority, 2) for priority in (3, 1, 2, -1)))

    served.runner.run(together())
    assert ended == [-9, -1, 1, 2, 3]


@pytest.mark.vllm
@pytest.mark.slow
def test_thinking_ends_with_its_budget(served: Served) -> None:
    """The parameter thinking_token_budget."""

    def said(**extra: Any) -> str:
        request = continues("Think:", max_tokens=24, extra={"ignore_eos": True, **extra})
        return served.answer(request).answers[0].text

    assert " Done." not in said()
    assert 0 <= said(thinking_token_budget=4).find(" Done.") < said(thinking_token_budget=12).find(" Done.")
