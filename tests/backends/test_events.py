"""What a finished stream amounts to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import EngineFailed
from backends.events import (
    Call,
    Delta,
    Embedding,
    Event,
    Finish,
    Outcome,
    Progress,
    TokenLogprob,
    ToolDelta,
    Usage,
    total,
)

PIECES = st.lists(st.tuples(st.integers(min_value=0, max_value=3), st.text(max_size=5), st.text(max_size=3)))


async def stream(events: Iterable[Event], closed: list[bool], fail: bool = False) -> AsyncGenerator[Event, None]:
    try:
        for event in events:
            yield event
        if fail:
            raise EngineFailed
    finally:
        closed.append(True)


def outcome(*events: Event) -> Outcome:
    closed: list[bool] = []
    gathered = asyncio.run(Outcome.of(stream(events, closed)))
    assert closed == [True]
    return gathered


@given(PIECES)
def test_pieces_in_any_order_of_choices_are_joined(pieces: list[tuple[int, str, str]]) -> None:
    found = outcome(*(Delta(text, index, reasoning) for index, text, reasoning in pieces))
    indices = range(max((index for index, _, _ in pieces), default=-1) + 1)
    assert [answer.text for answer in found.answers] == [
        "".join(text for at, text, _ in pieces if at == index) for index in indices
    ]
    assert [answer.reasoning for answer in found.answers] == [
        "".join(reasoning for at, _, reasoning in pieces if at == index) for index in indices
    ]


@given(st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), max_size=4), st.integers(1, 3))
def test_calls_are_put_together(calls: list[tuple[str, str]], size: int) -> None:
    events: list[Event] = []
    for position, (name, arguments) in enumerate(calls):
        events.append(Delta(tool=ToolDelta(position, f"call_{position}", name)))
        events += [
            Delta(tool=ToolDelta(position, arguments=arguments[at : at + size]))
            for at in range(0, len(arguments), size)
        ]
    found = outcome(*events, Finish("tool_calls"))
    expected = [Call(f"call_{position}", name, arguments) for position, (name, arguments) in enumerate(calls)]
    assert found.answers[0].calls == expected
    assert found.answers[0].reason == "tool_calls"


def test_everything_else_has_its_place() -> None:
    first, second = TokenLogprob("a", -0.5, b"a"), TokenLogprob("b", -1.0, b"b")
    found = outcome(
        Progress(0.5),
        Embedding(b"two", 1),
        Embedding(b"one", 0),
        Delta("a", logprobs=(first,)),
        Delta("b", logprobs=(second,)),
        Delta("other", 1),
        Finish("length"),
        Usage(1, 2, 3, 4),
    )
    assert found.vectors == [b"one", b"two"]
    assert found.answers[0].logprobs == [first, second]
    assert found.answers[1].logprobs is None
    assert (found.answers[0].reason, found.answers[1].reason) == ("length", None)
    assert found.usage == Usage(1, 2, 3, 4)


def test_a_failure_comes_through_and_the_stream_is_closed() -> None:
    closed: list[bool] = []
    with pytest.raises(EngineFailed):
        asyncio.run(Outcome.of(stream([Delta("a")], closed, fail=True)))
    assert closed == [True]


def test_usages_add_up() -> None:
    assert total([Usage(1, 2, 3, 4), Usage(10, 20, 30, 40)]) == Usage(11, 22, 33, 44)
    assert total([]) == Usage()
