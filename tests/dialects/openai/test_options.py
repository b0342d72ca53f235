"""Fields that vLLM's users send: what goes to the engine, what is refused, and how the answers look."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import openai
import pytest

from backends.echo import Echo
from backends.errors import Unsupported
from backends.events import Delta, Event, Finish
from backends.requests import Request
from openai_proxy.bodies.options import NEUTRAL, UNSEARCHED
from openai_proxy.config import Limits, ModelConfig
from openai_proxy.errors import InvalidRequest, TooManyItems
from tests.dialects.openai.local import CHAT, COMPLETIONS, Local, chat, completion
from tests.dialects.openai.test_fields import ask, ask_completion
from tests.running import Running

HELLO: Any = [{"role": "user", "content": "one two"}]


@pytest.fixture(scope="module")
def client(echo_server: Running) -> Iterator[openai.OpenAI]:
    with echo_server.client() as open_client:
        yield open_client


NOTHING = {**NEUTRAL, **UNSEARCHED, "add_special_tokens": False, "include_reasoning": True}


@pytest.mark.parametrize("name", sorted(NOTHING))
def test_what_changes_nothing_may_be_sent_to_any_model(local: Local, name: str) -> None:
    assert local.post(CHAT, chat(**{name: NOTHING[name]})).status == 200
    assert ask(**{name: NOTHING[name]}) == ask()


@pytest.mark.parametrize("name", sorted(NEUTRAL.keys() - {"ignore_eos", "continue_final_message"}))
def test_what_this_model_does_not_honour_is_refused_by_name(local: Local, name: str) -> None:
    usual = NEUTRAL.get(name, 0)
    value: Any = {bool: not usual, int: 5, list: ["x"] if name == "bad_words" else [5], dict: {"a": 1}}[type(usual)]
    local.post(CHAT, chat(**{name: value})).refusal(400, "unsupported_parameter", name)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"stop_token_ids": [1000]}, "stop_token_ids"),
        ({"allowed_token_ids": [5, 1000]}, "allowed_token_ids"),
        ({"allowed_token_ids": []}, "allowed_token_ids"),
        ({"bad_words": [" "]}, "bad_words"),
        ({"bad_words": ["x" * 257]}, "bad_words"),
        ({"truncate_prompt_tokens": 0}, "truncate_prompt_tokens"),
        ({"truncation_side": "left"}, "truncation_side"),
        ({"continue_final_message": True, "add_generation_prompt": True}, "continue_final_message"),
    ],
    ids=str,
)
def test_wrong_values_are_refused_for_a_model_that_is_able(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ask(**fields)
    assert refused.value.param == param


LIMITS = Limits(token_ids=2, bad_words=2, template_bytes=9)


def test_options_are_bounded() -> None:
    """The limits token_ids, bad_words and template_bytes."""
    inside: dict[str, Any] = {"stop_token_ids": [1, 2], "allowed_token_ids": [1, 2], "bad_words": ["a", "b"]}
    for name, value in inside.items():
        assert ask(limits=LIMITS, **{name: value}).extra == {name: value}
        with pytest.raises(TooManyItems) as refused:
            ask(limits=LIMITS, **{name: [*value, value[0]]})
        assert refused.value.param == name
    assert ask(limits=LIMITS, chat_template_kwargs={"a": "b"}).extra
    with pytest.raises(InvalidRequest) as too_large:
        ask(limits=LIMITS, chat_template_kwargs={"a": "bc"})
    assert too_large.value.param == "chat_template_kwargs"


def test_a_text_gets_special_tokens_and_a_chat_does_not_unless_told() -> None:
    assert ask_completion(add_special_tokens=True).extra == {}
    assert ask_completion(add_special_tokens=False).extra == {"add_special_tokens": False}
    assert ask(add_special_tokens=False).extra == {}


def test_prompt_logprobs_of_a_chat_are_shown_as_vllm_does(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="echo", messages=HELLO, extra_body={"prompt_logprobs": 1})
    shown = answer.model_dump()["prompt_logprobs"]
    assert shown == [None, {"1": {"logprob": 0.0, "rank": 1, "decoded_token": " two"}}]
    assert "prompt_logprobs" not in client.chat.completions.create(model="echo", messages=HELLO).model_dump()


def test_prompt_logprobs_of_a_completion_stand_in_each_choice(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="echo", prompt=["a b", "c"], n=2, extra_body={"prompt_logprobs": 0})
    shown = [choice.model_dump()["prompt_logprobs"] for choice in answer.choices]
    both = [None, {"1": {"logprob": 0.0, "rank": 1, "decoded_token": " b"}}]
    assert shown == [both, both, [None], [None]]


ECHOED: dict[str, list[Any]] = {
    "tokens": ["one", " two", "one"],
    "token_logprobs": [None, 0.0, 0.0],
    "top_logprobs": [None, {" two": 0.0}, {"one": 0.0}],
    "text_offset": [0, 3, 7],
}


def test_an_echo_has_the_log_probabilities_of_the_prompt(local: Local) -> None:
    """What lm-evaluation-harness asks for."""
    asked = {"prompt": "one two", "echo": True, "logprobs": 1, "max_tokens": 1}
    choice = local.post(COMPLETIONS, completion(**asked)).json["choices"][0]
    assert (choice["text"], choice["logprobs"]) == ("one twoone", ECHOED)
    none = local.post(COMPLETIONS, completion(**asked | {"max_tokens": 0})).json["choices"][0]
    assert (none["text"], none["finish_reason"]) == ("one two", "length")
    assert none["logprobs"] == {name: values[:2] for name, values in ECHOED.items()}
    ids = local.post(COMPLETIONS, completion(**asked | {"prompt": [[7, 8], [9]]})).json["choices"]
    assert [each["logprobs"]["tokens"] for each in ids] == [["7", " 8", "7"], ["9", "9"]]


def test_a_streamed_echo_has_them_too(echo_server: Running) -> None:
    with openai.OpenAI(base_url=echo_server.base_url, api_key="none", max_retries=0) as lenient:
        stream = lenient.completions.create(
            model="echo", prompt="one two", echo=True, logprobs=1, max_tokens=1, stream=True
        )
        found = [chunk.choices[0].logprobs for chunk in stream if chunk.choices]
    merged: dict[str, list[Any]] = {name: [] for name in ECHOED}
    for logprobs in found:
        for name, values in merged.items():
            values.extend(getattr(logprobs, name) if logprobs else [])
    assert merged == ECHOED


class Thinker(Echo):
    """Thinks before each word."""

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        async for event in super().run(request):
            if isinstance(event, Delta):
                yield Delta(reasoning="hm", index=event.index)
            if isinstance(event, Finish):
                yield Delta("!", event.index, reasoning="so")
            yield event


@pytest.fixture(scope="module")
def thinker() -> Iterator[Local]:
    with Local(models={"echo": ModelConfig(backend=f"{__name__}:Thinker")}) as application:
        yield application


def test_reasoning_is_left_out_on_request(thinker: Local) -> None:
    """The field include_reasoning."""
    shown = thinker.post(CHAT, chat()).json["choices"][0]["message"]
    assert shown["reasoning"] == shown["reasoning_content"] == "hmhmhmso"
    hidden = thinker.post(CHAT, chat(include_reasoning=False)).json["choices"][0]["message"]
    assert hidden == {"role": "assistant", "content": "one two three!", "refusal": None}
    streamed = thinker.post(CHAT, chat(include_reasoning=False, stream=True))
    assert b"reasoning" not in streamed.body
    assert b"three" in streamed.body


def test_the_end_of_a_prompt_is_kept(local: Local) -> None:
    """The field truncate_prompt_tokens."""
    for prompt, end in (("one two three", "two three"), ([7, 8, 9], "8 9")):
        cut = local.post(COMPLETIONS, completion(prompt=prompt, truncate_prompt_tokens=2)).json
        assert (cut["choices"][0]["text"], cut["usage"]["prompt_tokens"]) == (end, 2)
    cut = local.post(CHAT, chat(messages=HELLO, truncate_prompt_tokens=1)).json
    assert (cut["choices"][0]["message"]["content"], cut["usage"]["prompt_tokens"]) == ("two", 1)
    for keep in (-1, 3):
        whole = local.post(CHAT, chat(messages=HELLO, truncate_prompt_tokens=keep)).json
        assert (whole["choices"][0]["message"]["content"], whole["usage"]["prompt_tokens"]) == ("one two", 2)


def test_an_answer_can_continue_the_last_message(local: Local) -> None:
    """The field continue_final_message: this model then says back what came before that message."""
    messages = [*HELLO, {"role": "assistant", "content": "so"}]
    for continues, said in ((True, "one two"), (False, "so")):
        answer = local.post(CHAT, chat(messages=messages, continue_final_message=continues)).json
        assert answer["choices"][0]["message"]["content"] == said


def test_beams_are_refused(local: Local) -> None:
    fields: dict[str, Any] = {"use_beam_search": True, "length_penalty": 2.0}
    for name, value in fields.items():
        with pytest.raises(Unsupported):
            ask(**{name: value})
        local.post(CHAT, chat(**{name: value})).refusal(400, "unsupported_parameter", name)
