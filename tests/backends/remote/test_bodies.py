"""Requests that did not come in OpenAI's form are written in it: the same is asked as with the client's own body."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec import Raw

from backends.remote.bodies import call
from backends.requests import (
    Audio,
    ChatRequest,
    Choice,
    CompletionRequest,
    Constraint,
    EmbeddingRequest,
    Form,
    Grammar,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    NamedTool,
    Regex,
    Request,
    Sampling,
    ScoreRequest,
    Text,
    TokenizeRequest,
    Tool,
    ToolCall,
)

USER = Message(role="user", parts=(Text("Hello"),))
STREAMED = {"stream": True, "stream_options": {"include_usage": True}}


def body(request: Request) -> dict[str, Any]:
    written: dict[str, Any] = json.loads(call(request, "theirs").body)
    return written


def test_a_chat() -> None:
    request = ChatRequest(
        model="ours",
        messages=(
            Message(role="system", parts=(Text("Be brief."),)),
            USER,
            Message(role="assistant", tool_calls=(ToolCall("c1", "look", '{"a":1}'),), reasoning="Hm."),
            Message(role="tool", parts=(Text("done"),), tool_call_id="c1"),
            Message(role="user", name="Ann", parts=(Text("And now?"),)),
        ),
        sampling=Sampling(temperature=0.0, max_tokens=5, stop=("x",), n=2, logit_bias={7: -1.0}, logprobs=3),
        tools=(Tool(name="look", description="looks", parameters={"type": "object"}),),
        tool_choice=NamedTool("look"),
        parallel_tool_calls=False,
        reasoning_effort="low",
        extra={"top_k": 4},
    )
    assert body(request) == {
        "model": "theirs",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hello"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}],
                "reasoning_content": "Hm.",
            },
            {"role": "tool", "content": "done", "tool_call_id": "c1"},
            {"role": "user", "content": "And now?", "name": "Ann"},
        ],
        "logprobs": True,
        "top_logprobs": 3,
        "tools": [
            {
                "type": "function",
                "function": {"name": "look", "description": "looks", "parameters": {"type": "object"}},
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": "look"}},
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "temperature": 0.0,
        "max_tokens": 5,
        "stop": ["x"],
        "n": 2,
        "logit_bias": {"7": -1.0},
        "top_k": 4,
        **STREAMED,
    }


def test_pictures_and_sounds() -> None:
    parts = (Text("What?"), Image(b"png", "image/png", 1, 1), Audio(b"wav", "wav", 60))
    assert body(ChatRequest(model="ours", messages=(Message(role="user", parts=parts),)))["messages"][0]["content"] == [
        {"type": "text", "text": "What?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(b"png").decode()}},
        {"type": "input_audio", "input_audio": {"data": base64.b64encode(b"wav").decode(), "format": "wav"}},
    ]


@pytest.mark.parametrize(
    ("constraint", "fields"),
    [
        (JsonObject(), {"response_format": {"type": "json_object"}}),
        (
            JsonSchema({"type": "object"}),
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
                }
            },
        ),
        (Regex("a+"), {"structured_outputs": {"regex": "a+"}}),
        (Choice(("a", "b")), {"structured_outputs": {"choice": ["a", "b"]}}),
        (Grammar('root ::= "a"'), {"structured_outputs": {"grammar": 'root ::= "a"'}}),
    ],
)
def test_constraints(constraint: Constraint, fields: dict[str, Any]) -> None:
    request = ChatRequest(model="ours", messages=(USER,), sampling=Sampling(constraint=constraint))
    assert body(request).items() >= fields.items()


def test_completions() -> None:
    request = CompletionRequest(model="ours", prompts=("a", (1, 2)), echo=True, sampling=Sampling(logprobs=0, seed=3))
    wanted = {"model": "theirs", "prompt": ["a", [1, 2]], "echo": True, "logprobs": 0, "seed": 3, **STREAMED}
    assert body(request) == wanted
    assert body(CompletionRequest(model="ours", prompts=("a",)))["prompt"] == "a"


def test_log_probabilities_of_a_prompt_come_with_a_whole_answer() -> None:
    asked = call(CompletionRequest(model="ours", prompts=("a",), sampling=Sampling(prompt_logprobs=1)), "theirs")
    assert not asked.stream
    assert json.loads(asked.body) == {"model": "theirs", "prompt": "a", "prompt_logprobs": 1, "stream": False}


def test_embeddings_scores_and_tokens() -> None:
    assert body(EmbeddingRequest(model="ours", inputs=("a",), dimensions=3, truncate_prompt_tokens=-1)) == {
        "model": "theirs",
        "input": ["a"],
        "encoding_format": "base64",
        "dimensions": 3,
        "truncate_prompt_tokens": -1,
    }
    one = call(ScoreRequest(model="ours", queries=("q",), documents=("a", "b")), "theirs")
    assert one.path == "v1/rerank"
    each = call(ScoreRequest(model="ours", queries=("q", "r"), documents=("a", "b")), "theirs")
    assert each.path == "v1/score"
    assert json.loads(each.body) == {"model": "theirs", "text_1": ["q", "r"], "text_2": ["a", "b"]}
    chat = ChatRequest(model="ours", messages=(USER,), extra={"add_generation_prompt": False})
    assert body(TokenizeRequest(model="ours", prompt=chat, special=False, strings=True)) == {
        "model": "theirs",
        "messages": [{"role": "user", "content": "Hello"}],
        "add_special_tokens": False,
        "return_token_strs": True,
        "add_generation_prompt": False,
    }


def test_a_form_goes_on_as_it_came_but_for_the_name_and_the_usage() -> None:
    fields = {"model": Raw(b'"ours"'), "messages": Raw(b"[ 1 ]"), "stream": Raw(b"true"), "x": Raw(b"1.50")}
    request = ChatRequest(model="ours", messages=(USER,), form=Form(fields, stream=True))
    assert call(request, "theirs").body == (
        b'{"model":"theirs","messages":[ 1 ],"stream":true,"x":1.50,"stream_options":{"include_usage":true}}'
    )
    asked = fields | {"stream_options": Raw(b'{"include_usage":false,"include_obfuscation":false}')}
    options = body(ChatRequest(model="ours", messages=(USER,), form=Form(asked, stream=True)))["stream_options"]
    assert options == {"include_usage": True, "include_obfuscation": False}
    assert b"stream_options" not in call(ChatRequest(model="ours", messages=(USER,), form=Form(fields)), "m").body


def test_a_body_that_needs_no_other_name_is_not_written_anew() -> None:
    whole = b'{ "model":"theirs" ,"messages":[ 1 ]}'
    fields = {"model": Raw(b'"theirs"'), "messages": Raw(b"[ 1 ]")}
    request = ChatRequest(model="ours", messages=(USER,), form=Form(fields, body=whole))
    assert call(request, "theirs").body is whole
    assert call(request, "other").body == b'{"model":"other","messages":[ 1 ]}'
    nameless = ChatRequest(model="ours", messages=(USER,), form=Form({"messages": Raw(b"[ 1 ]")}, body=whole))
    assert call(nameless, "theirs").body == b'{"messages":[ 1 ],"model":"theirs"}'
