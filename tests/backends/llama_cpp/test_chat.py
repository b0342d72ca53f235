from __future__ import annotations

import contextlib
import json
import math

import jsonschema
import pytest

from backends import Setup
from backends.errors import ContextExceeded, Refused, SchemaTooComplex, Unsupported
from backends.events import Delta, Finish, Outcome, Usage
from backends.requests import (
    Choice,
    Grammar,
    JsonObject,
    JsonSchema,
    Message,
    NamedTool,
    Regex,
    Text,
    Tool,
    ToolCall,
)
from tests.backends.llama_cpp.conftest import CHAT, Running, options, running, says

pytestmark = pytest.mark.engine

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
WEATHER = Tool(
    name="get_weather",
    description="The weather of a city",
    parameters={
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 30}, "unit": {"enum": ["c", "f"]}},
        "required": ["city", "unit"],
    },
)
NOW = Tool(name="now", description="The time")
QUESTION = "What is the weather in Paris, in c?"


def test_an_answer_ends_with_finish_and_usage(chat: Running) -> None:
    *deltas, finish, usage = chat.events(says("Hi", max_tokens=5))
    assert all(isinstance(delta, Delta) and delta.text for delta in deltas)
    assert finish == Finish("length")
    assert isinstance(usage, Usage)
    assert usage.completion == 5
    assert usage.prompt > 5


def test_n_choices_are_interleaved_and_the_prompt_is_counted_once(chat: Running) -> None:
    one = chat.answer(says("Hi", max_tokens=4)).usage
    events = chat.events(says("Hi", n=3, max_tokens=4, temperature=1.0))
    usage = events[-1]
    assert isinstance(usage, Usage)
    assert (usage.prompt, usage.completion) == (one.prompt, 12)
    assert sorted(event.index for event in events if isinstance(event, Finish)) == [0, 1, 2]


def test_a_seed_gives_the_same_text_again(chat: Running) -> None:
    asked = says("Tell me a story", seed=-7, temperature=1.0, max_tokens=20)
    assert chat.answer(asked).answers[0].text == chat.answer(asked).answers[0].text
    other = says("Tell me a story", seed=8, temperature=1.0, max_tokens=20)
    assert chat.answer(asked).answers[0].text != chat.answer(other).answers[0].text


def test_a_stop_string_ends_the_text_before_it_and_the_count_with_it(chat: Running) -> None:
    whole = chat.answer(says("Hi", max_tokens=12))
    text = whole.answers[0].text
    stop = text[6:9]
    cut = chat.answer(says("Hi", max_tokens=12, stop=(stop, "never there")))
    assert cut.answers[0].text == text[: text.index(stop)]
    assert cut.answers[0].reason == "stop"
    assert 0 < cut.usage.completion < whole.usage.completion


def test_text_held_for_half_a_stop_string_comes_out_at_the_end(chat: Running) -> None:
    text = chat.answer(says("Hi", max_tokens=8)).answers[0].text
    held = chat.answer(says("Hi", max_tokens=8, stop=(text[-3:] + "never there",)))
    assert held.answers[0].text == text


@pytest.mark.parametrize("count", [0, 3])
def test_logprobs_are_natural_logarithms_with_as_many_alternatives_as_asked(chat: Running, count: int) -> None:
    answer = chat.answer(says("Hi", max_tokens=6, logprobs=count)).answers[0]
    assert answer.logprobs is not None
    assert b"".join(entry.data for entry in answer.logprobs).decode() == answer.text
    assert all(len(entry.top) == count for entry in answer.logprobs)
    assert all(
        (entry.logprob or 0) <= 0 and sum(math.exp(top.logprob) for top in entry.top) <= 1.001
        for entry in answer.logprobs
    )


def test_logprobs_stay_with_the_text_that_a_stop_string_lets_out(chat: Running) -> None:
    text = chat.answer(says("Hi", max_tokens=12)).answers[0].text
    answer = chat.answer(says("Hi", max_tokens=12, logprobs=0, stop=(text[8:14],))).answers[0]
    assert answer.logprobs is not None
    assert b"".join(entry.data for entry in answer.logprobs).decode().startswith(answer.text)


def test_logit_bias_moves_tokens_and_must_name_real_ones(chat: Running) -> None:
    first = chat.answer(says("Hi", max_tokens=1, logprobs=2)).answers[0]
    biased = chat.answer(says("Hi", max_tokens=1, logit_bias={28: 100.0})).answers[0]
    assert biased.text != first.text
    with pytest.raises(Refused) as caught:
        chat.answer(says("Hi", logit_bias={49152: 1.0}))
    assert caught.value.param == "logit_bias"


def test_ignore_eos_and_min_p_and_top_k_reach_the_engine(chat: Running) -> None:
    long = chat.answer(says("Hi", max_tokens=40, extra={"ignore_eos": True}))
    assert long.usage.completion == 40
    greedy = chat.answer(says("Hi", max_tokens=8)).answers[0].text
    assert chat.answer(says("Hi", max_tokens=8, temperature=2.0, extra={"top_k": 1})).answers[0].text == greedy
    assert chat.answer(says("Hi", max_tokens=8, temperature=2.0, extra={"min_p": 1.0})).answers[0].text == greedy
    repeated = chat.answer(says("Hi", max_tokens=30, extra={"repetition_penalty": 2.0, "ignore_eos": True}))
    assert repeated.answers[0].text != long.answers[0].text


def test_a_character_of_several_tokens_comes_whole(chat: Running) -> None:
    for tokens in range(1, 9):
        grammar = Grammar('root ::= "x" [\\U0001F600-\\U0001F64F]+')
        answer = chat.answer(says("Hi", max_tokens=tokens, constraint=grammar)).answers[0]
        assert "\ufffd" not in answer.text


@pytest.mark.parametrize("length", [3_000, 10_000])
def test_what_does_not_fit_the_context_is_refused(chat: Running, length: int) -> None:
    with pytest.raises(ContextExceeded) as caught:
        chat.answer(says("a b " * length))
    assert caught.value.param == "messages"


def test_without_max_tokens_an_answer_ends_with_the_context() -> None:
    for small in running(Setup(name="small", options=options(CHAT, context=128), slots=1)):
        assert small.backend.model.context == 256  # the engine rounds a slot up to what it can hold
        outcome = small.answer(says("Hi", extra={"ignore_eos": True}))
        assert outcome.answers[0].reason == "length"
        assert outcome.usage.prompt + outcome.usage.completion == pytest.approx(256, abs=2)


def test_constraints_hold(chat: Running) -> None:
    def text(constraint: object) -> str:
        return chat.answer(says("Bob is 42 years old.", max_tokens=200, constraint=constraint)).answers[0].text

    assert json.loads(text(JsonSchema(PERSON))) == {"name": "Bob", "age": 42}
    options = ('say "x"', "back\\slash\nline", "é")
    assert text(Choice(options)) in options
    assert text(Regex(r"^[a-c]{3}/\d\/$"))[3] == "/"
    assert text(Grammar('root ::= "\\u00e9" [0-9]{2}')).startswith("é")


def test_json_object_is_an_object(chat: Running) -> None:
    asked = says("Reply with JSON: name Bob, age 42", constraint=JsonObject(), max_tokens=1500)
    answer = chat.answer(asked).answers[0]
    assert answer.reason == "stop"
    assert isinstance(json.loads(answer.text), dict)


@pytest.mark.parametrize(
    ("constraint", "error", "param"),
    [
        (JsonSchema({"type": "array", "uniqueItems": True}), Unsupported, "response_format"),
        (JsonSchema({"type": "foo"}), Refused, "response_format"),
        (JsonSchema({"$ref": "http://localhost/x"}), Refused, "response_format"),
        (JsonSchema({"oneOf": [{"type": "string"}, {"minLength": 3}]}), Unsupported, "response_format"),
        (Regex("a("), Refused, "regex"),
        (Regex("(?=a)b"), Refused, "regex"),
        (Grammar("root ::= foo"), Refused, "grammar"),
        (Grammar("root ::= ["), Refused, "grammar"),
    ],
)
def test_what_cannot_be_enforced_is_refused(
    chat: Running, constraint: object, error: type[Refused], param: str
) -> None:
    with pytest.raises(error) as caught:
        chat.answer(says("Hi", constraint=constraint))
    assert caught.value.param == param


@pytest.mark.parametrize("pattern", ["((a{0,1000}){1000}){1000}", "(a?){500}b", "((a|b)*c){900}"])
def test_a_bomb_is_refused_or_answered_in_good_time(chat: Running, pattern: str) -> None:
    with contextlib.suppress(SchemaTooComplex, Refused):
        chat.answer(says("Hi", constraint=Regex(pattern), max_tokens=8))
    assert chat.answer(says("Hi", max_tokens=2)).answers[0].text


@pytest.mark.parametrize(
    ("choice", "parallel"),
    [("required", None), ("required", True), (NamedTool("get_weather"), None), (NamedTool("now"), True)],
)
def test_forced_calls_are_valid_for_the_schema(chat: Running, choice: object, parallel: bool | None) -> None:
    tools = (WEATHER, NOW)
    asked = says(QUESTION, tools=tools, tool_choice=choice, parallel_tool_calls=parallel, max_tokens=400)
    events = chat.events(asked)
    pieces = [event.tool for event in events if isinstance(event, Delta) and event.tool]
    outcome = chat.answer(asked)
    (answer,) = outcome.answers
    assert answer.reason == "tool_calls"
    assert answer.text == ""
    assert 1 <= len(answer.calls) <= (8 if parallel else 1)
    assert sum(piece.id is not None for piece in pieces) == len(answer.calls)
    for call in answer.calls:
        assert call.id.startswith("call_")
        assert len(call.id) == 29
        (tool,) = (tool for tool in tools if tool.name == call.name)
        jsonschema.validate(json.loads(call.arguments), tool.parameters or {"type": "object", "maxProperties": 0})


def test_forced_calls_stay_valid_at_high_temperature(chat: Running) -> None:
    asked = says(QUESTION, tools=(WEATHER, NOW), tool_choice="required", n=6, temperature=2.0, max_tokens=300)
    for answer in chat.answer(asked).answers:
        assert answer.reason == "tool_calls"
        assert answer.calls[0].name in ("get_weather", "now")
        json.loads(answer.calls[0].arguments)


def test_a_tool_that_is_not_there_and_none_at_all_are_refused(chat: Running) -> None:
    with pytest.raises(Refused):
        chat.answer(says("Hi", tools=(NOW,), tool_choice=NamedTool("other")))
    with pytest.raises(Refused):
        chat.answer(says("Hi", tool_choice="required"))
    with pytest.raises(Unsupported) as caught:
        chat.answer(
            says("Hi", tools=(Tool(name="t", parameters={"properties": {"a": {"not": {}}}}),), tool_choice="required")
        )
    assert caught.value.param == "tools"


def test_auto_answers_in_text_or_calls_and_never_shows_the_markup(chat: Running) -> None:
    asked = says(QUESTION, tools=(WEATHER,), n=4, temperature=1.0, max_tokens=60)
    for answer in chat.answer(asked).answers:
        assert "<tool_call>" not in answer.text
        for call in answer.calls if answer.reason == "tool_calls" else ():
            jsonschema.validate(json.loads(call.arguments), WEATHER.parameters)


def test_tools_with_a_schema_give_a_call_or_the_schema(chat: Running) -> None:
    asked = says(QUESTION, tools=(WEATHER,), constraint=JsonSchema(PERSON), max_tokens=200, n=3, temperature=1.0)
    for answer in chat.answer(asked).answers:
        if answer.calls:
            jsonschema.validate(json.loads(answer.calls[0].arguments), WEATHER.parameters)
        else:
            jsonschema.validate(json.loads(answer.text), PERSON)


def test_earlier_calls_and_results_are_part_of_the_prompt(chat: Running) -> None:
    def read(*messages: Message) -> int:
        outcome: Outcome = chat.answer(says("", messages=messages, tools=(WEATHER,), max_tokens=1))
        return outcome.usage.prompt

    question = Message(role="user", parts=(Text(QUESTION),))
    call = Message(role="assistant", tool_calls=(ToolCall("call_1", "get_weather", '{"city": "Paris", "unit": "c"}'),))
    result = Message(role="tool", parts=(Text("21 degrees"),), tool_call_id="call_1")
    assert read(question) + 20 < read(question, call) < read(question, call, result)
