"""Options that vLLM's users send: what each does, by a real engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from backends.errors import ContextExceeded, Refused
from backends.events import Delta, Outcome, PromptLogprobs, TokenLogprob, Usage
from backends.requests import Message, Sampling, Text
from backends.vllm import prompts
from backends.vllm.loaded import Loaded
from backends.vllm.prompts import Cut
from tests.backends.conftest import CONTEXT, Served
from tests.backends.vllm.asking import continues, says

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
QUESTION = "What is the capital of France?"
ANSWER = "The capital of France is Paris."
THE, PARIS, ENDING = 504, 7042, 2


def text(outcome: Outcome) -> str:
    return outcome.answers[0].text


def loaded(served: Served) -> Loaded:
    own = served.backend._loaded
    assert own is not None
    return own


def ids(served: Served, said: str) -> list[int]:
    found: list[int] = loaded(served).tokenizer.encode(said, add_special_tokens=False)
    return found


def asked(served: Served, /, said: str = QUESTION, *, sampling: dict[str, Any] | None = None, **extra: Any) -> Outcome:
    """A chat with options."""
    return served.answer(says(said, **(sampling or {}), extra=extra))


def test_stop_token_ids_end_the_answer_as_stop_strings_do(vllm_chat: Served) -> None:
    (of,) = ids(vllm_chat, " of")
    outcome = asked(vllm_chat, stop_token_ids=[of])
    assert (text(outcome), outcome.answers[0].reason) == ("The capital", "stop")
    kept = asked(vllm_chat, stop_token_ids=[of], include_stop_str_in_output=True)
    assert text(kept) == "The capital of"


def test_include_stop_str_in_output_leaves_it_there(vllm_chat: Served) -> None:
    for sampling in ({"stop": (" of",)}, {"stop": (" of",), "logprobs": 0}):  # the engine's own search, and ours
        outcome = asked(vllm_chat, sampling=sampling, include_stop_str_in_output=True)
        assert (text(outcome), outcome.answers[0].reason) == ("The capital of", "stop")
    assert "".join(entry.token for entry in outcome.answers[0].logprobs or ()) == "The capital of"


def test_bad_words_are_not_written(vllm_chat: Served) -> None:
    assert "Paris" not in text(asked(vllm_chat, bad_words=["Paris"]))


def test_allowed_token_ids_are_all_that_is_written(vllm_chat: Served) -> None:
    only = ids(vllm_chat, "Paris")
    assert set(text(asked(vllm_chat, allowed_token_ids=only, sampling={"max_tokens": 3}))) <= set("Paris ")


def test_skip_special_tokens_and_the_spaces_between_them(vllm_chat: Served) -> None:
    """The parameters skip_special_tokens and spaces_between_special_tokens."""
    only: dict[str, Any] = {"allowed_token_ids": [1], "ignore_eos": True, "sampling": {"max_tokens": 3}}
    assert text(asked(vllm_chat, **only)) == ""
    shown = asked(vllm_chat, skip_special_tokens=False, **only)
    assert text(shown).replace(" ", "") == "<|im_start|>" * 3
    close = asked(vllm_chat, skip_special_tokens=False, spaces_between_special_tokens=False, **only)
    assert text(close) == "<|im_start|>" * 3


def test_truncate_prompt_tokens_keeps_the_end(vllm_chat: Served) -> None:
    """And truncation_side the beginning."""
    last = continues("one two three four five Once upon", max_tokens=6)
    cut = structs.replace(last, extra={"truncate_prompt_tokens": 2})
    assert text(vllm_chat.answer(cut)) == text(vllm_chat.answer(continues(" Once upon", max_tokens=6)))
    right = structs.replace(cut, extra={"truncate_prompt_tokens": 2, "truncation_side": "right"}, echo=True)
    assert text(vllm_chat.answer(right)).startswith("one two")
    assert vllm_chat.answer(says("word " * 3000, extra={"truncate_prompt_tokens": 64})).usage.prompt == 64


def test_add_special_tokens_is_told_to_the_tokenizer(vllm_chat: Served) -> None:
    """This model's has none to add."""
    told: list[Any] = []

    class Renderer:
        async def render_cmpl_async(self, _: Any, tokens: Any) -> tuple[Any]:
            told.append(tokens.add_special_tokens)
            return ({"type": "token", "prompt_token_ids": [1]},)

        async def render_chat_async(self, _: Any, __: Any, tokens: Any) -> tuple[Any, tuple[Any]]:
            return None, await self.render_cmpl_async(_, tokens)

    own = structs.replace(loaded(vllm_chat), client=SimpleNamespace(renderer=Renderer()))
    for extra in ({}, {"add_special_tokens": False}, {"add_special_tokens": True}):
        cut = Cut.of(extra, Sampling())
        vllm_chat.runner.run(prompts.prompt(own, "x", "prompt", cut))
        vllm_chat.runner.run(prompts.chat(own, [], {}, cut))
    assert told == [True, False, False, False, True, True]


def test_a_prompt_is_cut_to_leave_room_for_the_answer(vllm_chat: Served) -> None:
    long = continues("word " * 3000, max_tokens=8, extra={"truncate_prompt_tokens": -1, "ignore_eos": True})
    assert vllm_chat.answer(long).usage == Usage(prompt=CONTEXT - 8, completion=8)
    with pytest.raises(ContextExceeded):
        vllm_chat.answer(continues("word " * 80_000, extra={"truncate_prompt_tokens": -1}))


def test_a_cache_salt_keeps_the_cache_apart(vllm_chat: Served) -> None:
    """The parameter cache_salt."""
    said = "Tell me of the sea, the sky and the land. " * 20

    def cached(salt: str) -> int:
        return asked(vllm_chat, said, cache_salt=salt, sampling={"max_tokens": 1}).usage.cached

    assert cached("one") == 0
    assert cached("one") > 0
    assert cached("other") == 0


def test_prompt_logprobs_of_a_chat(vllm_chat: Served) -> None:
    events = vllm_chat.events(says(QUESTION, max_tokens=2, prompt_logprobs=2, n=2))
    (told,) = (event for event in events if isinstance(event, PromptLogprobs))
    assert events[0] is told
    assert (told.index, len(told.places)) == (0, 37)
    assert told.places[0] is None
    read = loaded(vllm_chat).tokenizer.decode([place[0].token for place in told.places[1:] if place])
    assert QUESTION in read
    for place in told.places[1:]:
        assert place is not None
        assert 2 <= len(place) <= 3
        assert {candidate.rank for candidate in place} >= {1, 2}


def test_prompt_logprobs_of_a_completion(vllm_chat: Served) -> None:
    outcome = vllm_chat.answer(continues("Once upon a time", "The sky", n=2, max_tokens=1, prompt_logprobs=0))
    told = [answer.prompt for answer in outcome.answers]
    assert [each.index for each in told if each] == [0, 1, 2, 3]
    assert [len(each.places) for each in told if each] == [4, 4, 2, 2]
    assert [[len(place) for place in each.places if place] for each in told[:1] if each] == [[1, 1, 1]]


def entries(outcome: Outcome) -> list[TokenLogprob]:
    found = outcome.answers[0].logprobs
    assert found is not None
    return found


@pytest.mark.parametrize("most", [0, 1, 5])
@pytest.mark.parametrize("as_ids", [False, True])
def test_an_echo_has_the_log_probabilities_of_the_prompt(vllm_chat: Served, most: int, as_ids: bool) -> None:
    """As lm-evaluation-harness asks."""
    said = "Once upon a time, \U0001f680 \u65e5\u672c"
    prompt: Any = tuple(ids(vllm_chat, said)) if as_ids else said
    outcome = vllm_chat.answer(continues(prompt, echo=True, logprobs=1, max_tokens=most))
    found = entries(outcome)
    assert text(outcome).startswith(said)
    assert len(found) == len(ids(vllm_chat, said)) + most
    assert found[0].logprob is None
    assert all(entry.logprob is not None and entry.logprob <= 0 and entry.top for entry in found[1:])
    assert outcome.usage.completion == most
    assert outcome.answers[0].reason == "length"
    assert b"".join(entry.data for entry in found).decode() == text(outcome)


def test_the_token_that_ends_an_echoed_answer_is_counted(vllm_chat: Served) -> None:
    """Whoever slices the list by the prompt's length relies on it."""
    bias = {ENDING: 100.0}
    outcome = vllm_chat.answer(continues("Once upon", echo=True, logprobs=1, max_tokens=1, logit_bias=bias))
    assert (text(outcome), outcome.answers[0].reason) == ("Once upon", "stop")
    assert [entry.data for entry in entries(outcome)] == [b"Once", b" upon", b""]


def test_scores_of_a_text_are_those_of_its_writing(vllm_chat: Served) -> None:
    written = vllm_chat.answer(continues("Once upon", logprobs=1, max_tokens=6))
    scored = vllm_chat.answer(continues("Once upon" + text(written), echo=True, logprobs=1, max_tokens=0))
    both = zip(entries(written), entries(scored)[2:], strict=True)
    assert all(one.logprob == pytest.approx(other.logprob, abs=1e-3) for one, other in both)


def test_a_long_echo_is_scored_whole(vllm_chat: Served) -> None:
    """The engine reads it in several steps."""
    outcome = vllm_chat.answer(continues("word " * 1900, echo=True, logprobs=0, max_tokens=0))
    assert len(entries(outcome)) == outcome.usage.prompt > 1900


def test_return_tokens_as_token_ids(vllm_chat: Served) -> None:
    outcome = asked(vllm_chat, sampling={"logprobs": 1}, return_tokens_as_token_ids=True)
    first = entries(outcome)[0]
    assert (first.token, first.data, first.top[0].token) == (f"token_id:{THE}", b"The", f"token_id:{THE}")
    assert b"".join(entry.data for entry in entries(outcome)).decode() == text(outcome) == ANSWER


TURNS = (
    Message(role="user", parts=(Text(QUESTION),)),
    Message(role="assistant", parts=(Text("The capital of France"),)),
)


def continued(served: Served, turns: tuple[Message, ...] = TURNS, **extra: Any) -> Outcome:
    return served.answer(says("", messages=turns, extra=extra))


def test_continue_final_message_goes_on_where_it_ends(vllm_chat: Served) -> None:
    assert text(continued(vllm_chat, continue_final_message=True)) == " is Paris."
    assert text(continued(vllm_chat)) != " is Paris."


def test_a_chat_echo_says_the_last_message_again(vllm_chat: Served) -> None:
    """The parameter chat_echo."""
    assert text(continued(vllm_chat, continue_final_message=True, echo=True)) == ANSWER
    assert text(asked(vllm_chat, echo=True)) == ANSWER
    assert isinstance(vllm_chat.events(says("", messages=TURNS, extra={"echo": True}))[0], Delta)


def test_add_generation_prompt_opens_the_answer(vllm_chat: Served) -> None:
    without = asked(vllm_chat, add_generation_prompt=False)
    assert without.usage.prompt < asked(vllm_chat).usage.prompt


def test_chat_template_kwargs_reach_the_template(vllm_chat: Served) -> None:
    own = loaded(vllm_chat)
    assert own.template is not None
    template = structs.replace(own.template, text="{{ messages[0]['content'] }}{{ more }}")
    vllm_chat.backend._loaded = structs.replace(own, template=template)
    try:
        given = {"chat_template_kwargs": {"more": " one two three"}}
        assert asked(vllm_chat, "Hi", **given).usage.prompt == asked(vllm_chat, "Hi").usage.prompt + 3
    finally:
        vllm_chat.backend._loaded = own


@pytest.mark.parametrize(
    "name", ["tokenize", "chat_template", "conversation", "tools", "messages", "add_generation_prompt", "padding"]
)
def test_what_is_ours_is_not_for_the_template_to_be_told(vllm_chat: Served, name: str) -> None:
    with pytest.raises(Refused) as refused:
        asked(vllm_chat, chat_template_kwargs={name: True})
    assert refused.value.param == f"chat_template_kwargs.{name}"


def test_what_the_engine_is_not_set_up_for_is_not_honoured(vllm_chat: Served) -> None:
    assert not {"priority", "thinking_token_budget"} & vllm_chat.backend.model.parameters
