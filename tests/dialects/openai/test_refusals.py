"""Every wrong value of every field is a 400 that names the field."""

from __future__ import annotations

from typing import Any

import pytest

from openai_proxy.bodies.chat_body import REFUSED
from tests.dialects.openai.local import CHAT, COMPLETIONS, EMBEDDINGS, Local, chat, completion, embedding
from tests.dialects.openai.test_fields import tool

FUNCTION_CALL = {"name": "f", "arguments": "{}"}
REFUSED_VALUES: dict[str, Any] = {"functions": [{}], "chat_template": "{{ x }}"}
REFUSALS = [
    *(({name: REFUSED_VALUES.get(name, {"any": "thing"})}, name, "unsupported_parameter") for name in REFUSED),
    ({"function_call": "auto"}, "function_call", "unsupported_parameter"),
    ({"modalities": ["text", "audio"]}, "modalities", "unsupported_parameter"),
    ({"modalities": ["smell"]}, "modalities.0", "invalid_value"),
    ({"max_tokens": 1, "max_completion_tokens": 1}, "max_completion_tokens", "invalid_value"),
    ({"top_logprobs": 1}, "top_logprobs", "invalid_value"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
    ({"stream": True, "stream_options": {"x": 1}}, "stream_options.x", "unknown_parameter"),
    ({"tool_choice": "auto"}, "tool_choice", "invalid_value"),
    ({"tools": [], "tool_choice": "required"}, "tool_choice", "invalid_value"),
    ({"tools": [tool()], "tool_choice": "maybe"}, "tool_choice", "invalid_value"),
    ({"tools": [tool(), tool()]}, "tools", "invalid_value"),
    ({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, "tools.0.type", "unsupported_parameter"),
    ({"tools": [{"type": "web"}]}, "tools.0.type", "invalid_value"),
    ({"tools": [tool("bad name")]}, "tools.0.function.name", "invalid_value"),
    ({"tools": [tool("get_weather\n")]}, "tools.0.function.name", "invalid_value"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n\n", "schema": {}}}},
        "response_format.json_schema.name",
        "invalid_value",
    ),
    ({"tools": [tool(parameters={"type": "array"})]}, "tools.0.function.parameters", "invalid_value"),
    ({"tools": [tool()], "parallel_tool_calls": "no"}, "parallel_tool_calls", "invalid_value"),
    ({"parallel_tool_calls": True}, "parallel_tool_calls", "invalid_value"),
    ({"temperature": 2.1}, "temperature", "invalid_value"),
    ({"temperature": -0.1}, "temperature", "invalid_value"),
    ({"temperature": "hot"}, "temperature", "invalid_value"),
    ({"top_p": 0}, "top_p", "invalid_value"),
    ({"top_p": 1.1}, "top_p", "invalid_value"),
    ({"n": 0}, "n", "invalid_value"),
    ({"n": 1.5}, "n", "invalid_value"),
    ({"n": True}, "n", "invalid_value"),
    ({"max_tokens": 0}, "max_tokens", "invalid_value"),
    ({"max_completion_tokens": -1}, "max_completion_tokens", "invalid_value"),
    ({"presence_penalty": 2.1}, "presence_penalty", "invalid_value"),
    ({"frequency_penalty": -2.1}, "frequency_penalty", "invalid_value"),
    ({"seed": 2**63}, "seed", "invalid_value"),
    ({"seed": 1.5}, "seed", "invalid_value"),
    ({"stop": ""}, "stop", "invalid_value"),
    ({"stop": ["a", ""]}, "stop", "invalid_value"),
    ({"stop": ["a", 1]}, "stop.1", "invalid_value"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
    ({"logprobs": 1}, "logprobs", "invalid_value"),
    ({"logit_bias": {"1": 100.1}}, "logit_bias.1", "invalid_value"),
    ({"logit_bias": {"1": 1}}, "logit_bias", "unsupported_parameter"),
    ({"top_k": 1}, "top_k", "unsupported_parameter"),
    ({"reasoning_effort": "low"}, "reasoning_effort", "unsupported_parameter"),
    ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value"),
    ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_parameter"),
    ({"response_format": {"type": "yaml"}}, "response_format.type", "invalid_value"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "invalid_value"),
    ({"regex": "a", "choice": ["b"]}, "choice", "invalid_value"),
    ({"metadata": {"k": 1}}, "metadata.k", "invalid_value"),
    ({"user": "u" * 513}, "user", "invalid_value"),
    ({"verbosity": "loud"}, "verbosity", "invalid_value"),
    ({"stream": "yes"}, "stream", "invalid_value"),
    ({"temprature": 1}, "temprature", "unknown_parameter"),
    ({"model": 5}, "model", "invalid_value"),
    ({"model": "nobody"}, "model", "model_not_found"),
    ({"model": "m" * 201}, "model", "invalid_value"),
    ({"script": {"fail": "never"}}, "script", "invalid_value"),
    ({"chat_template_kwargs": {"a": 1}}, "chat_template_kwargs", "unsupported_parameter"),
    ({"chat_template_kwargs": "a"}, "chat_template_kwargs", "invalid_value"),
    ({"echo": True}, "echo", "unsupported_parameter"),
    ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs", "invalid_value"),
    ({"prompt_logprobs": 0, "stream": True}, "prompt_logprobs", "invalid_value"),
    ({"prompt_logprobs": 21}, "prompt_logprobs", "invalid_value"),
    ({"prompt_logprobs": -1}, "prompt_logprobs", "invalid_value"),
    ({"priority": 1}, "priority", "unsupported_parameter"),
    ({"stop_token_ids": [1]}, "stop_token_ids", "unsupported_parameter"),
    ({"use_beam_search": True}, "use_beam_search", "unsupported_parameter"),
    ({"length_penalty": 0.5}, "length_penalty", "unsupported_parameter"),
    ({"cache_salt": ""}, "cache_salt", "invalid_value"),
    ({"cache_salt": "a/b"}, "cache_salt", "invalid_value"),
    ({"cache_salt": "s" * 129}, "cache_salt", "invalid_value"),
    ({"structured_outputs": {"structural_tag": {}}}, "structured_outputs.structural_tag", "unsupported_parameter"),
    ({"mm_processor_kwargs": {}}, "mm_processor_kwargs", "unknown_parameter"),
    ({"api_base": "http://x"}, "api_base", "unknown_parameter"),
    ({"lora_path": "x"}, "lora_path", "unknown_parameter"),
    ({"messages": None}, "messages", "invalid_value"),
    ({"messages": []}, "messages", "invalid_value"),
    ({"messages": ["hi"]}, "messages.0", "invalid_value"),
    ({"messages": [{"content": "x"}]}, "messages.0.role", "invalid_value"),
    ({"messages": [{"role": "wizard", "content": "x"}]}, "messages.0.role", "invalid_value"),
    ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages.0.role", "invalid_value"),
    ({"messages": [{"role": "user"}]}, "messages.0.content", "invalid_value"),
    ({"messages": [{"role": "user", "content": None}]}, "messages.0.content", "invalid_value"),
    ({"messages": [{"role": "user", "content": []}]}, "messages.0.content", "invalid_value"),
    ({"messages": [{"role": "user", "content": "x", "mood": 1}]}, "messages.0.mood", "unknown_parameter"),
    ({"messages": [{"role": "assistant"}]}, "messages.0.content", "invalid_value"),
    (
        {"messages": [{"role": "assistant", "content": "x", "function_call": FUNCTION_CALL}]},
        "messages.0.function_call",
        "unsupported_parameter",
    ),
    (
        {"messages": [{"role": "assistant", "content": "x", "audio": {"id": "a"}}]},
        "messages.0.audio",
        "unsupported_parameter",
    ),
    ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id", "invalid_value"),
    (
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": "never"}]},
        "messages.0.tool_call_id",
        "invalid_value",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text"}]}]},
        "messages.0.content.1.text",
        "invalid_value",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "x"}}]}]},
        "messages.0.content.0",
        "unsupported_parameter",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "video", "video": 1}]}]},
        "messages.0.content.0.type",
        "invalid_value",
    ),
]


@pytest.mark.parametrize(("fields", "param", "code"), REFUSALS, ids=str)
def test_chats_are_refused_with_the_field_named(local: Local, fields: dict[str, Any], param: str, code: str) -> None:
    status = 404 if code == "model_not_found" else 400
    local.post(CHAT, chat(**fields)).refusal(status, code, param)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"suffix": "x"}, "suffix", "unsupported_parameter"),
        ({"best_of": 2}, "best_of", "unsupported_parameter"),
        ({"n": 2, "best_of": 1}, "best_of", "unsupported_parameter"),
        ({"prompt_logprobs": 1, "stream": True}, "prompt_logprobs", "invalid_value"),
        ({"chat_template_kwargs": {}}, "chat_template_kwargs", "unknown_parameter"),
        ({"logprobs": 21}, "logprobs", "invalid_value"),
        ({"logprobs": -1}, "logprobs", "invalid_value"),
        ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": [[]]}, "prompt.0", "invalid_value"),
        ({"prompt": ["a", 1]}, "prompt", "invalid_value"),
        ({"prompt": ["a", [1]]}, "prompt", "invalid_value"),
        ({"prompt": [1, -1]}, "prompt.1", "invalid_value"),
        ({"prompt": {"a": 1}}, "prompt", "invalid_value"),
        ({"messages": []}, "messages", "unknown_parameter"),
        ({"stream_options": {}}, "stream_options", "invalid_value"),
    ],
    ids=str,
)
def test_completions_are_refused_with_the_field_named(
    local: Local, fields: dict[str, Any], param: str, code: str
) -> None:
    local.post(COMPLETIONS, completion(**fields)).refusal(400, code, param)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"input": ""}, "input", "invalid_value"),
        ({"input": []}, "input", "invalid_value"),
        ({"input": ["a", ""]}, "input", "invalid_value"),
        ({"input": [[]]}, "input.0", "invalid_value"),
        ({"input": ["a", 1]}, "input", "invalid_value"),
        ({"input": None}, "input", "invalid_value"),
        ({"dimensions": 0}, "dimensions", "invalid_value"),
        ({"dimensions": 17}, "dimensions", "invalid_value"),
        ({"encoding_format": "int8"}, "encoding_format", "invalid_value"),
        ({"truncate": True}, "truncate", "unknown_parameter"),
        ({"stream": True}, "stream", "unknown_parameter"),
    ],
    ids=str,
)
def test_embeddings_are_refused_with_the_field_named(
    local: Local, fields: dict[str, Any], param: str, code: str
) -> None:
    local.post(EMBEDDINGS, embedding(**fields)).refusal(400, code, param)


def test_a_hint_names_the_nearest_field(local: Local) -> None:
    assert "temperature" in local.post(CHAT, chat(temprature=1)).error["message"]
