"""Tools by grammar, for a model whose template knows none; calls that are forced are valid."""

from __future__ import annotations

import json

import jsonschema
import pytest

from backends.errors import Refused
from backends.events import Answer
from backends.requests import JsonSchema, Message, NamedTool, Text, Tool, ToolCall
from tests.backends.conftest import Served
from tests.backends.vllm.asking import says

pytestmark = pytest.mark.vllm
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["city", "unit"],
    "additionalProperties": False,
}
TOOLS = (Tool(name="weather", description="Weather of a city", parameters=PARAMETERS), Tool(name="now"))
SCHEMAS = {"weather": PARAMETERS, "now": {"type": "object", "maxProperties": 0}}


def check(answer: Answer) -> None:
    assert answer.reason == "tool_calls"
    assert answer.text == ""
    for call in answer.calls:
        assert call.id.startswith("call_")
        jsonschema.validate(json.loads(call.arguments), SCHEMAS[call.name])


def test_a_named_tool_is_called(vllm_chat: Served) -> None:
    request = says("Weather in Rome?", tools=TOOLS, tool_choice=NamedTool("weather"), max_tokens=60, n=2)
    for answer in vllm_chat.answer(request).answers:
        check(answer)
        assert [call.name for call in answer.calls] == ["weather"]


def test_a_required_tool_is_called(vllm_chat: Served) -> None:
    answer = vllm_chat.answer(says("What now?", tools=TOOLS, tool_choice="required", max_tokens=80)).answers[0]
    check(answer)
    assert len(answer.calls) == 1


def test_parallel_tool_calls_may_be_several(vllm_chat: Served) -> None:
    request = says(
        "Weather in Rome, and in Paris?",
        tools=TOOLS,
        tool_choice="required",
        parallel_tool_calls=True,
        max_tokens=400,
    )
    answer = vllm_chat.answer(request).answers[0]
    if answer.reason != "length":
        check(answer)
    assert 1 <= len(answer.calls) <= 8


def test_stop_strings_do_not_cut_a_call(vllm_chat: Served) -> None:
    request = says("Rome?", tools=TOOLS, tool_choice=NamedTool("weather"), max_tokens=60, stop=("city",))
    check(vllm_chat.answer(request).answers[0])


def test_auto_may_answer_in_words_and_none_does(vllm_chat: Served) -> None:
    assert vllm_chat.answer(says("Hello!", tools=TOOLS)).answers[0].reason in {"stop", "length", "tool_calls"}
    answer = vllm_chat.answer(says("What is the capital of France?", tools=TOOLS, tool_choice="none")).answers[0]
    assert answer.text == "The capital of France is Paris."


def test_auto_with_a_schema_is_a_call_or_keeps_the_schema(vllm_chat: Served) -> None:
    wanted = JsonSchema({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]})
    answer = vllm_chat.answer(says("a is 5", tools=TOOLS, constraint=wanted, max_tokens=80)).answers[0]
    assert answer.calls or isinstance(json.loads(answer.text)["a"], int)


def test_earlier_calls_are_read(vllm_chat: Served) -> None:
    call = ToolCall("call_1", "weather", '{"city": "Rome", "unit": "celsius"}')
    messages = (
        Message(role="user", parts=(Text("Weather in Rome?"),)),
        Message(role="assistant", tool_calls=(call,)),
        Message(role="tool", parts=(Text("21 degrees and sun"),), tool_call_id="call_1"),
    )
    assert vllm_chat.answer(says("", messages=messages, tools=TOOLS)).answers[0].text


def test_a_tool_that_is_not_there(vllm_chat: Served) -> None:
    with pytest.raises(Refused) as refused:
        vllm_chat.answer(says("x", tools=TOOLS, tool_choice=NamedTool("other")))
    assert refused.value.param == "tool_choice"
