"""Chat and completions by a real engine: what each parameter does."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backends.errors import ContextExceeded, Refused
from backends.events import Delta, Finish, Outcome, Usage
from backends.requests import Message, Text
from tests.backends.conftest import CONTEXT, Served
from tests.backends.vllm.asking import continues, says
from tests.backends.vllm.prompts import ENGLISH, TOKENS

pytestmark = pytest.mark.vllm
QUESTION = "What is the capital of France?"


def text(outcome: Outcome) -> str:
    return outcome.answers[0].text


def test_it_knows_what_it_serves(vllm_chat: Served) -> None:
    model = vllm_chat.backend.model
    assert model.kinds == {"chat", "completion", "tokenize"}
    assert (model.context, model.vocabulary) == (CONTEXT, 49152)


def test_a_chat_is_answered(vllm_chat: Served) -> None:
    outcome = vllm_chat.answer(says(QUESTION))
    assert text(outcome) == "The capital of France is Paris."
    assert outcome.answers[0].reason == "stop"
    assert outcome.usage.prompt == 37
    assert outcome.usage.completion == 8


def test_the_conversation_is_read(vllm_chat: Served) -> None:
    turns = (("system", "You are a parrot."), ("user", "Hello"), ("assistant", "Hello"), ("user", QUESTION))
    messages = tuple(Message(role=role, parts=(Text(said),)) for role, said in turns)  # type: ignore[arg-type]
    assert vllm_chat.answer(says("", messages=messages)).usage.prompt == 39


def test_tokens_are_streamed_one_by_one(vllm_chat: Served) -> None:
    events = vllm_chat.events(says(QUESTION))
    assert sum(isinstance(event, Delta) for event in events) > 4
    assert isinstance(events[-2], Finish)
    assert isinstance(events[-1], Usage)


def test_max_tokens_cuts(vllm_chat: Served) -> None:
    outcome = vllm_chat.answer(says(QUESTION, max_tokens=3))
    assert outcome.answers[0].reason == "length"
    assert outcome.usage.completion == 3


def test_the_context_cuts_too(vllm_chat: Served) -> None:
    outcome = vllm_chat.answer(continues("a " * (CONTEXT - 4), max_tokens=100, extra={"ignore_eos": True}))
    assert outcome.answers[0].reason == "length"
    assert outcome.usage.prompt + outcome.usage.completion == CONTEXT


@pytest.mark.parametrize("words", [3000, 20_000])
def test_a_prompt_that_is_too_long_is_refused_with_the_number(vllm_chat: Served, words: int) -> None:
    with pytest.raises(ContextExceeded, match=str(CONTEXT)) as refused:
        vllm_chat.answer(says("word " * words))
    assert refused.value.param == "messages"
    with pytest.raises(ContextExceeded, match=str(CONTEXT)) as refused:
        vllm_chat.answer(continues("word " * words))
    assert refused.value.param == "prompt"


def test_n_answers_at_temperature_0_are_the_same(vllm_chat: Served) -> None:
    outcome = vllm_chat.answer(says(QUESTION, n=3))
    assert [answer.text for answer in outcome.answers] == ["The capital of France is Paris."] * 3
    assert (outcome.usage.prompt, outcome.usage.completion) == (37, 24)


def test_a_seed_repeats_and_gives_each_choice_its_own(vllm_chat: Served) -> None:
    request = says("Tell me a story.", temperature=1.5, seed=7, n=2)
    first, again = vllm_chat.answer(request), vllm_chat.answer(request)
    assert [answer.text for answer in first.answers] == [answer.text for answer in again.answers]
    assert first.answers[0].text != first.answers[1].text
    assert text(vllm_chat.answer(says("Tell me a story.", temperature=1.5, seed=8))) == first.answers[1].text


@pytest.mark.parametrize("seed", [-1, 0, 2**63 - 1, -(2**63)])
def test_every_seed_is_taken(vllm_chat: Served, seed: int) -> None:
    assert vllm_chat.answer(says("Hi", seed=seed, temperature=1.0, max_tokens=2, n=2)).usage.completion


@pytest.mark.parametrize("more", [{"top_p": 0.01}, {"extra": {"top_k": 1}}, {"extra": {"min_p": 1.0}}])
def test_little_to_choose_from_is_greedy(vllm_chat: Served, more: dict[str, Any]) -> None:
    assert text(vllm_chat.answer(says(QUESTION, temperature=2.0, **more))) == "The capital of France is Paris."


def test_stop_strings_end_the_answer_and_do_not_show(vllm_chat: Served) -> None:
    outcome = vllm_chat.answer(says(QUESTION, stop=(" of",)))
    assert (text(outcome), outcome.answers[0].reason) == ("The capital", "stop")
    with_logprobs = vllm_chat.answer(says(QUESTION, stop=(" of",), logprobs=0))
    assert (text(with_logprobs), with_logprobs.answers[0].reason) == ("The capital", "stop")


def test_a_biased_token_comes_or_does_not(vllm_chat: Served) -> None:
    paris = vllm_chat.answer(says(QUESTION, max_tokens=1, logit_bias={28: 100.0}))
    assert text(paris) == ","
    assert text(vllm_chat.answer(says(QUESTION, max_tokens=1, logit_bias={504: -100.0}))) != "The"


@pytest.mark.parametrize(
    "more", [{"presence_penalty": 2.0}, {"frequency_penalty": 2.0}, {"extra": {"repetition_penalty": 2.0}}]
)
def test_penalties_keep_it_from_repeating(vllm_chat: Served, more: dict[str, Any]) -> None:
    plain = vllm_chat.answer(continues("one two one two one two one two", max_tokens=12))
    other = vllm_chat.answer(continues("one two one two one two one two", max_tokens=12, **more))
    assert text(plain) != text(other)


def test_min_tokens_and_ignore_eos_go_on(vllm_chat: Served) -> None:
    assert vllm_chat.answer(says(QUESTION, max_tokens=12, extra={"min_tokens": 12})).usage.completion == 12
    assert vllm_chat.answer(says(QUESTION, max_tokens=12, extra={"ignore_eos": True})).usage.completion == 12
    with pytest.raises(Refused) as refused:
        vllm_chat.answer(says(QUESTION, max_tokens=3, extra={"min_tokens": 4}))
    assert refused.value.param == "min_tokens"


def test_logprobs_belong_to_the_text(vllm_chat: Served) -> None:
    answer = vllm_chat.answer(says(QUESTION, logprobs=2)).answers[0]
    assert answer.logprobs is not None
    assert "".join(entry.token for entry in answer.logprobs) == answer.text
    assert b"".join(entry.data for entry in answer.logprobs) == answer.text.encode()
    for entry in answer.logprobs:
        assert len(entry.top) == 2
        assert entry.top[0].logprob >= entry.top[1].logprob
        assert (entry.token, entry.logprob) == (entry.top[0].token, entry.top[0].logprob)
    none = vllm_chat.answer(says(QUESTION, logprobs=0)).answers[0]
    assert {entry.top for entry in none.logprobs or ()} == {()}


def test_several_prompts_are_continued(vllm_chat: Served) -> None:
    outcome = vllm_chat.answer(continues("Once upon", "The sky", n=2, max_tokens=4))
    assert [answer.text for answer in outcome.answers[::2]] == [answer.text for answer in outcome.answers[1::2]]
    assert outcome.answers[0].text != outcome.answers[2].text
    assert outcome.usage == Usage(prompt=4, completion=16)


def test_tokens_say_the_same_as_their_text(vllm_chat: Served) -> None:
    """The parameter token_prompts."""
    loaded = vllm_chat.backend._loaded
    assert loaded is not None
    by_tokens = vllm_chat.answer(continues(tuple(loaded.tokenizer.encode("Once upon")), echo=True))
    assert text(by_tokens) == text(vllm_chat.answer(continues("Once upon", echo=True)))
    with pytest.raises(Refused) as refused:
        vllm_chat.answer(continues((49152,)))
    assert refused.value.param == "prompt"


def test_echo_comes_first(vllm_chat: Served) -> None:
    assert text(vllm_chat.answer(continues("Once upon", echo=True))).startswith("Once upon")


def test_no_token_at_all(vllm_chat: Served) -> None:
    outcome = vllm_chat.answer(continues("Once upon", max_tokens=0, echo=True))
    assert (text(outcome), outcome.usage) == ("Once upon", Usage(prompt=2))


@pytest.mark.parametrize("prompt", ["", ()])
def test_nothing_cannot_be_continued(vllm_chat: Served, prompt: Any) -> None:
    with pytest.raises(Refused) as refused:
        vllm_chat.answer(continues(prompt))
    assert refused.value.param == "prompt"


def test_several_at_once_do_not_mix(vllm_chat: Served) -> None:
    async def all_at_once() -> list[str]:
        async def one(prompt: str) -> str:
            events = vllm_chat.backend.run(says(prompt, max_tokens=TOKENS))
            return "".join([event.text async for event in events if isinstance(event, Delta)])

        return await asyncio.gather(*(one(prompt) for prompt in ENGLISH[:8] * 4))

    texts = vllm_chat.runner.run(all_at_once())
    assert texts[:8] == texts[8:16] == texts[16:24] == texts[24:]
