"""Every field of the SDK's request types is honoured, refused by name, or on the list of those without effect."""

from __future__ import annotations

from typing import Any, get_type_hints

import msgspec
import pytest
from msgspec import Struct
from openai.types import chat as chat_types
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params

from backends import Model
from backends.requests import (
    ChatRequest,
    Choice,
    CompletionRequest,
    Grammar,
    JsonObject,
    JsonSchema,
    NamedTool,
    Regex,
    Sampling,
    Text,
    ToolCall,
)
from openai_proxy.bodies import chat_body
from openai_proxy.bodies.chat import chat_request
from openai_proxy.bodies.chat_body import ChatBody
from openai_proxy.bodies.completion import CompletionBody, completion_request
from openai_proxy.bodies.embedding import EmbeddingBody
from openai_proxy.bodies.fields import ACCEPTED, EXTRA, StreamOptions
from openai_proxy.bodies.options import OF_CHATS
from openai_proxy.config import Limits
from openai_proxy.decode import decode_now
from tests.dialects.openai.local import CHAT, Local, chat, completion

ABLE = Model(
    kinds=frozenset({"chat", "completion", "embedding"}),
    parameters=frozenset(
        {"temperature", "top_p", "max_tokens", "stop", "seed", "n", "presence_penalty", "frequency_penalty"}
        | {"logit_bias", "logprobs", "tools", "parallel_tool_calls", "reasoning_effort", "echo", "token_prompts"}
        | {"json_object", "json_schema", "regex", "choice", "grammar", "dimensions", "prompt_logprobs", *EXTRA}
        | {"chat_echo", *OF_CHATS - {"echo"}}
    ),
    vocabulary=1000,
)
UNLIMITED = Limits()
SDK_FIELDS = [
    (chat_create_params.CompletionCreateParamsNonStreaming, ChatBody),
    (chat_create_params.CompletionCreateParamsStreaming, ChatBody),
    (completion_create_params.CompletionCreateParamsNonStreaming, CompletionBody),
    (completion_create_params.CompletionCreateParamsStreaming, CompletionBody),
    (embedding_create_params.EmbeddingCreateParams, EmbeddingBody),
    (chat_types.ChatCompletionSystemMessageParam, chat_body.SystemMessage),
    (chat_types.ChatCompletionDeveloperMessageParam, chat_body.DeveloperMessage),
    (chat_types.ChatCompletionUserMessageParam, chat_body.UserMessage),
    (chat_types.ChatCompletionAssistantMessageParam, chat_body.AssistantMessage),
    (chat_types.ChatCompletionToolMessageParam, chat_body.ToolMessage),
    (chat_types.ChatCompletionContentPartTextParam, chat_body.TextPart),
    (chat_types.ChatCompletionContentPartRefusalParam, chat_body.RefusalPart),
    (chat_types.ChatCompletionStreamOptionsParam, StreamOptions),
    (chat_types.ChatCompletionFunctionToolParam, chat_body.FunctionTool),
    (chat_types.ChatCompletionNamedToolChoiceParam, chat_body.NamedChoice),
    (chat_types.ChatCompletionAllowedToolChoiceParam, chat_body.AllowedChoice),
    (chat_types.ChatCompletionMessageFunctionToolCallParam, chat_body.MessageToolCall),
]


@pytest.mark.parametrize(("theirs", "ours"), SDK_FIELDS, ids=lambda kind: str(kind.__name__))
def test_every_field_of_the_sdk_is_known(theirs: type, ours: type[Struct]) -> None:
    known = {field.encode_name for field in msgspec.structs.fields(ours)} | {ours.__struct_config__.tag_field}
    assert set(get_type_hints(theirs)) <= known


def ask(*, limits: Limits = UNLIMITED, **fields: Any) -> ChatRequest:
    """A chat as an engine that can do everything is asked."""
    body, given = decode_now(msgspec.json.encode(chat(**fields)), ChatBody)
    return chat_request(body, given, "m", ABLE, limits)


def ask_completion(**fields: Any) -> CompletionRequest:
    body, given = decode_now(msgspec.json.encode(completion(**fields)), CompletionBody)
    return completion_request(body, given, "m", ABLE, Limits())


SAMPLING = [
    ({"temperature": 0}, Sampling(temperature=0.0)),
    ({"temperature": 2}, Sampling(temperature=2.0)),
    ({"top_p": 0.5}, Sampling(top_p=0.5)),
    ({"stop": "x"}, Sampling(stop=("x",))),
    ({"stop": ["x", "y"]}, Sampling(stop=("x", "y"))),
    ({"stop": None}, Sampling()),
    ({"stop": []}, Sampling()),
    ({"seed": -(2**63)}, Sampling(seed=-(2**63))),
    ({"n": 3}, Sampling(n=3)),
    ({"presence_penalty": -2}, Sampling(presence_penalty=-2.0)),
    ({"frequency_penalty": 2}, Sampling(frequency_penalty=2.0)),
    ({"logit_bias": {"999": -100, "0": 100}}, Sampling(logit_bias={999: -100.0, 0: 100.0})),
    ({"regex": "a+"}, Sampling(constraint=Regex("a+"))),
    ({"choice": ["a", "b"]}, Sampling(constraint=Choice(("a", "b")))),
    ({"grammar": 'root ::= "a"'}, Sampling(constraint=Grammar('root ::= "a"'))),
    ({"structured_outputs": {"regex": "a"}}, Sampling(constraint=Regex("a"))),
    ({"structured_outputs": {"choice": ["a"]}}, Sampling(constraint=Choice(("a",)))),
    ({"structured_outputs": {"json": {"type": "object"}}}, Sampling(constraint=JsonSchema({"type": "object"}))),
    ({"structured_outputs": {"json_object": True}}, Sampling(constraint=JsonObject())),
    ({"structured_outputs": {}}, Sampling()),
]


@pytest.mark.parametrize(("fields", "expected"), SAMPLING, ids=str)
def test_sampling_fields_reach_the_engine(fields: dict[str, Any], expected: Sampling) -> None:
    assert ask(**fields).sampling == expected
    assert ask_completion(**fields, max_tokens=16).sampling == msgspec.structs.replace(expected, max_tokens=16)


NAMED_SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True}}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"max_tokens": 5}, Sampling(max_tokens=5)),
        ({"max_completion_tokens": 5}, Sampling(max_tokens=5)),
        ({"logprobs": True}, Sampling(logprobs=0)),
        ({"logprobs": True, "top_logprobs": 20}, Sampling(logprobs=20)),
        ({"logprobs": False}, Sampling()),
        ({"response_format": {"type": "text"}}, Sampling()),
        ({"response_format": {"type": "json_object"}}, Sampling(constraint=JsonObject())),
        ({"response_format": NAMED_SCHEMA}, Sampling(constraint=JsonSchema({"type": "object"}))),
    ],
    ids=str,
)
def test_sampling_fields_of_chats(fields: dict[str, Any], expected: Sampling) -> None:
    assert ask(**fields).sampling == expected


def test_completions_have_fields_of_their_own() -> None:
    assert ask_completion().sampling.max_tokens == 16
    assert ask_completion(logprobs=0).sampling.logprobs == 0
    assert ask_completion(echo=True).echo
    assert ask_completion(n=2, best_of=2).sampling.n == 2
    assert ask_completion(prompt=None).prompts == ("<|endoftext|>",)
    assert ask_completion(prompt=["a", "b"]).prompts == ("a", "b")
    assert ask_completion(prompt=[1, 2]).prompts == ((1, 2),)
    assert ask_completion(prompt=[[1], [2, 3]]).prompts == ((1,), (2, 3))


def test_extra_fields_reach_the_engine() -> None:
    values: dict[str, Any] = {
        "top_k": 5,
        "min_p": 0.5,
        "repetition_penalty": 1.5,
        "ignore_eos": True,
        "min_tokens": 2,
        "script": {},
        "priority": -1,
        "stop_token_ids": [1],
        "include_stop_str_in_output": True,
        "bad_words": ["x"],
        "allowed_token_ids": [1, 999],
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "truncate_prompt_tokens": -1,
        "truncation_side": "right",
        "thinking_token_budget": 0,
        "cache_salt": "salt",
        "return_tokens_as_token_ids": True,
        "add_special_tokens": True,
    }
    assert set(values) == set(EXTRA)
    assert ask(**values).extra == values
    values["add_special_tokens"] = False
    assert ask_completion(**values).extra == values
    assert ask(top_k=None).extra == {}


def test_extra_fields_of_chats_reach_the_engine() -> None:
    values: dict[str, Any] = {
        "echo": True,
        "add_generation_prompt": False,
        "continue_final_message": True,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    assert set(values) == OF_CHATS
    assert ask(**values).extra == values


def test_log_probabilities_of_the_prompt_reach_the_engine() -> None:
    assert ask(prompt_logprobs=0).sampling.prompt_logprobs == 0
    assert ask_completion(prompt_logprobs=20).sampling.prompt_logprobs == 20
    assert ask_completion(echo=True, logprobs=1).echo


def test_messages_reach_the_engine() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b", "prompt_cache_breakpoint": {"mode": "x"}}]
    refused = {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "annotations": []}
    request = ask(
        messages=[
            {"role": "developer", "content": "d", "name": "n"},
            {"role": "system", "content": parts},
            {"role": "user", "content": "u", "name": "anna"},
            {"role": "assistant", "content": None, "tool_calls": [call], "refusal": None, "reasoning": "r"},
            {"role": "tool", "content": parts, "tool_call_id": "c"},
            refused,
            {"role": "assistant", "refusal": "no"},
        ]
    )
    roles = [message.role for message in request.messages]
    assert roles == ["system", "system", "user", "assistant", "tool", "assistant", "assistant"]
    assert [message.text for message in request.messages] == ["d", "ab", "u", "", "ab", "no", "no"]
    assert request.messages[1].parts == (Text("a"), Text("b"))
    assert request.messages[2].name == "anna"
    assert request.messages[3].tool_calls == (ToolCall("c", "f", "{}"),)
    assert request.messages[3].reasoning == "r"
    assert request.messages[4].tool_call_id == "c"


def tool(name: str = "f", **function: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **function}}


def test_tools_reach_the_engine() -> None:
    two = [tool("f", description="d", parameters={"type": "object"}, strict=True), tool("g")]
    request = ask(tools=two, parallel_tool_calls=False, reasoning_effort="low")
    assert [(given.name, given.description, given.parameters) for given in request.tools] == [
        ("f", "d", {"type": "object"}),
        ("g", "", {}),
    ]
    assert request.tool_choice == "auto"
    assert request.parallel_tool_calls is False
    assert request.reasoning_effort == "low"
    assert ask(tools=two, tool_choice="required").tool_choice == "required"
    assert ask(tools=two, tool_choice="none").tool_choice == "none"
    assert ask(tools=[], tool_choice="none").tool_choice == "none"
    named = ask(tools=two, tool_choice={"type": "function", "function": {"name": "g"}})
    assert named.tool_choice == NamedTool("g")
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    narrowed = ask(tools=two, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert [given.name for given in narrowed.tools] == ["g"]
    assert narrowed.tool_choice == "required"


WITHOUT_EFFECT: dict[str, Any] = {
    "user": "u",
    "metadata": {"k": "v"},
    "store": True,
    "service_tier": "auto",
    "prompt_cache_key": "k",
    "prompt_cache_options": {"a": 1},
    "prompt_cache_retention": "24h",
    "safety_identifier": "s",
    "prediction": {"type": "content", "content": "x"},
    "verbosity": "low",
}


def test_the_list_of_fields_without_effect_is_whole() -> None:
    assert set(WITHOUT_EFFECT) == ACCEPTED


@pytest.mark.parametrize("name", sorted(WITHOUT_EFFECT))
def test_fields_without_effect_are_accepted(local: Local, name: str) -> None:
    answer = local.post(CHAT, chat(**{name: WITHOUT_EFFECT[name]}))
    assert answer.status == 200
    assert answer.json["choices"][0]["message"]["content"] == "one two three"
    assert ask(**{name: WITHOUT_EFFECT[name]}) == ask()


@pytest.mark.parametrize("bias", ["x", "-1", "1.0", "1000", "１", "9" * 30])
def test_biases_need_ids_of_the_vocabulary(bias: str) -> None:
    with pytest.raises(Exception, match="logit_bias"):
        ask(logit_bias={bias: 1})
