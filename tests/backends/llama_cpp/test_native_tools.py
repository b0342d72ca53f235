"""A template that knows tools: the engine's own calls are passed on as deltas."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from backends import Setup
from backends.events import Delta
from backends.requests import Message, Text, Tool, ToolCall
from tests.backends.llama_cpp.conftest import CHAT, Running, options, running, says

pytestmark = pytest.mark.engine

TEMPLATE = (
    "{%- if tools %}<|im_start|>system\n# Tools\n<tools>\n"
    "{%- for tool in tools %}\n{{ tool | tojson }}{% endfor %}\n</tools>\n"
    'Answer with <tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call><|im_end|>\n'
    "{%- endif %}"
    "{%- for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
    "{%- for call in message.tool_calls or [] %}<tool_call>\n"
    '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}\n</tool_call>'
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def templated() -> Iterator[Running]:
    yield from running(Setup(name="t", options=options(CHAT, chat_template=TEMPLATE), slots=1))


def test_the_template_gets_the_tools_and_text_or_calls_come_back(templated: Running) -> None:
    tool = Tool(name="now", description="The time", parameters={"type": "object", "properties": {}})
    plain = templated.answer(says("What time is it?", max_tokens=8)).usage.prompt
    outcome = templated.answer(says("What time is it?", tools=(tool,), max_tokens=60, n=2, temperature=0.7))
    assert outcome.usage.prompt > plain + 20
    for answer in outcome.answers:
        assert "<tool_call>" not in answer.text
        assert answer.calls or answer.text or answer.reason
        for call in answer.calls if answer.reason == "tool_calls" else ():
            assert call.name == "now"
            json.loads(call.arguments)


def test_earlier_calls_reach_the_template(templated: Running) -> None:
    asked = Message(role="user", parts=(Text("What time is it?"),))
    call = Message(role="assistant", tool_calls=(ToolCall("call_1", "now", "{}"),))
    result = Message(role="tool", parts=(Text("Noon"),), tool_call_id="call_1")
    short = templated.answer(says("", messages=(asked,), max_tokens=1)).usage.prompt
    long = templated.answer(says("", messages=(asked, call, result), max_tokens=1)).usage.prompt
    assert long > short + 15


def test_forced_calls_do_not_depend_on_the_template(templated: Running) -> None:
    tool = Tool(name="now")
    events = templated.events(says("Time?", tools=(tool,), tool_choice="required", max_tokens=50))
    calls = [event.tool for event in events if isinstance(event, Delta) and event.tool]
    assert calls[0].name == "now"
    assert "".join(call.arguments for call in calls) == "{}"
