"""Tokenizing and back, by a model whose tokens are bytes."""

from __future__ import annotations

from typing import Any

import pytest

from openai_proxy.config import Limits
from openai_proxy.dialects.openai.tokens import DETOKENIZE_PATHS, TOKENIZE_PATHS
from tests.dialects.openai.local import Local
from tests.dialects.openai.test_fields import tool
from tests.running import Running

START = 256
HELLO = [{"role": "system", "content": "short"}, {"role": "user", "content": "hi"}]


def text(local: Local, **fields: Any) -> str:
    """What the tokens of a body stand for."""
    tokens = local.post("/tokenize", {"model": "echo", **fields}).json["tokens"]
    return str(local.post("/detokenize", {"model": "echo", "tokens": tokens}).json["prompt"])


@pytest.mark.parametrize("path", TOKENIZE_PATHS)
def test_a_text(echo_server: Running, path: str) -> None:
    with echo_server.client() as client:
        answer: Any = client.post(f"/..{path}", body={"model": "echo", "prompt": "hé"}, cast_to=object)
    tokens = [START, *"hé".encode()]
    assert answer == {"count": 4, "max_model_len": None, "tokens": tokens, "token_strs": None}


@pytest.mark.parametrize("path", DETOKENIZE_PATHS)
def test_tokens(echo_server: Running, path: str) -> None:
    with echo_server.client() as client:
        body = {"model": "echo", "tokens": [START, *"hé".encode()]}
        answer: Any = client.post(f"/..{path}", body=body, cast_to=object)
    assert answer == {"prompt": "<s>hé"}


def test_special_tokens_and_strings(local: Local) -> None:
    body = {"model": "echo", "prompt": "hi", "return_token_strs": True}
    assert local.post("/tokenize", body).json["token_strs"] == ["<s>", "h", "i"]
    assert local.post("/tokenize", body | {"add_special_tokens": False}).json["token_strs"] == ["h", "i"]
    assert text(local, prompt="") == "<s>"
    assert text(local, prompt="", add_special_tokens=False) == ""


def test_a_chat_and_how_it_ends(local: Local) -> None:
    assert text(local, messages=HELLO) == "system: short\nuser: hi\nassistant: "
    assert text(local, messages=HELLO, add_generation_prompt=False) == "system: short\nuser: hi\n"
    assert text(local, messages=HELLO, continue_final_message=True) == "system: short\nuser: hi"
    assert text(local, messages=HELLO, continue_final_message=True, add_generation_prompt=False)[-2:] == "hi"
    assert text(local, messages=HELLO, add_special_tokens=True).startswith("<s>system")
    assert text(local, messages=HELLO, tools=[tool("f"), tool("g")]).startswith("tools: f, g\n")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({}, "prompt", "invalid_value"),
        ({"prompt": None}, "prompt", "invalid_value"),
        ({"prompt": ["a"]}, "prompt", "invalid_value"),
        ({"prompt": 5}, "prompt", "invalid_value"),
        ({"prompt": "a", "messages": HELLO}, "messages", "invalid_value"),
        ({"prompt": "a", "tools": []}, "tools", "invalid_value"),
        ({"prompt": "a", "add_generation_prompt": False}, "add_generation_prompt", "invalid_value"),
        ({"prompt": "a", "continue_final_message": True}, "continue_final_message", "invalid_value"),
        ({"prompt": "a", "add_special_tokens": "yes"}, "add_special_tokens", "invalid_value"),
        ({"prompt": "a", "return_token_strs": 1}, "return_token_strs", "invalid_value"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": ["hi"]}, "messages.0", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "invalid_value"),
        ({"messages": HELLO, "tools": [tool("bad name")]}, "tools.0.function.name", "invalid_value"),
        (
            {"messages": HELLO, "add_generation_prompt": True, "continue_final_message": True},
            "continue_final_message",
            "invalid_value",
        ),
        ({"messages": HELLO, "chat_template_kwargs": {"a": 1}}, "chat_template_kwargs", "unsupported_parameter"),
        ({"messages": HELLO, "chat_template": "x"}, "chat_template", "unknown_parameter"),
        ({"messages": HELLO, "mm_processor_kwargs": {}}, "mm_processor_kwargs", "unknown_parameter"),
        ({"model": None, "prompt": "a"}, "model", "invalid_value"),
    ],
    ids=str,
)
def test_tokenizing_is_refused_with_the_field_named(local: Local, fields: Any, param: str, code: str) -> None:
    local.post("/tokenize", {"model": "echo", **fields}).refusal(400, code, param)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({}, "tokens", "invalid_value"),
        ({"tokens": "a"}, "tokens", "invalid_value"),
        ({"tokens": ["a"]}, "tokens.0", "invalid_value"),
        ({"tokens": [1, -1]}, "tokens.1", "invalid_value"),
        ({"tokens": [START + 1]}, "tokens", "invalid_value"),
        ({"tokens": [1], "prompt": "a"}, "prompt", "unknown_parameter"),
    ],
    ids=str,
)
def test_detokenizing_is_refused_with_the_field_named(local: Local, fields: Any, param: str, code: str) -> None:
    local.post("/detokenize", {"model": "echo", **fields}).refusal(400, code, param)


def test_a_chat_needs_a_model_that_chats(local: Local) -> None:
    served = local.app.edge.router.models["echo"]
    model = served.backend.model
    try:
        served.backend.model = type(model)(kinds=frozenset({"tokenize"}))
        assert local.post("/tokenize", {"model": "echo", "prompt": "a"}).status == 200
        local.post("/tokenize", {"model": "echo", "messages": HELLO}).refusal(400, "unsupported_parameter", "messages")
    finally:
        served.backend.model = model


@pytest.fixture
def templated(local: Local) -> Any:
    """The application, as if the model's template took values."""
    served = local.app.edge.router.models["echo"]
    model = served.backend.model
    served.backend.model = type(model)(kinds=model.kinds, parameters=frozenset({"chat_template_kwargs"}))
    yield local
    served.backend.model = model


def test_values_for_the_template(templated: Local) -> None:
    def told(values: dict[str, Any]) -> Any:
        return templated.post("/tokenize", {"model": "echo", "messages": HELLO, "chat_template_kwargs": values})

    assert told({"enable_thinking": False}).status == 200
    largest = Limits().template_bytes - len('{"x":""}')
    assert told({"x": "y" * largest}).status == 200
    told({"x": "y" * (largest + 1)}).refusal(400, "invalid_value", "chat_template_kwargs")


def test_how_much_is_taken_at_once() -> None:
    with Local(Limits(tokenize=10)) as small:
        assert small.post("/tokenize", {"model": "echo", "prompt": "x" * 10}).status == 200
        small.post("/tokenize", {"model": "echo", "prompt": "x" * 11}).refusal(400, "invalid_value", "prompt")
        chat = [{"role": "user", "content": "x" * 5}]
        assert small.post("/tokenize", {"model": "echo", "messages": chat * 2}).status == 200
        small.post("/tokenize", {"model": "echo", "messages": chat * 3}).refusal(400, "invalid_value", "messages")
        assert small.post("/detokenize", {"model": "echo", "tokens": [65] * 10}).status == 200
        small.post("/detokenize", {"model": "echo", "tokens": [65] * 11}).refusal(400, "too_many_items", "tokens")
