"""Whole answers through the real SDK, strict about every field."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.dialects.openai.local import CHAT, Local, ask, chat, completion
from tests.running import Running

HELLO: Any = [{"role": "user", "content": "one two three four"}]


@pytest.fixture(scope="module")
def client(echo_server: Running) -> Iterator[openai.OpenAI]:
    with echo_server.client() as open_client:
        yield open_client


def test_a_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="echo", messages=HELLO)
    assert answer.id.startswith("chatcmpl-")
    assert (answer.object, answer.model) == ("chat.completion", "echo")
    assert answer.created > 1_700_000_000
    assert [choice.message.content for choice in answer.choices] == ["one two three four"]
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].logprobs is None
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (4, 4, 8)
    assert answer._request_id


def test_choices_length_stop_and_logprobs(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="echo", messages=HELLO, n=3, max_completion_tokens=2, logprobs=True, top_logprobs=1, temperature=0
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert {choice.message.content for choice in answer.choices} == {"one two"}
    assert {choice.finish_reason for choice in answer.choices} == {"length"}
    assert answer.choices[2].logprobs is not None
    entries = answer.choices[2].logprobs.content or []
    assert ["".join(map(chr, entry.bytes or ())) for entry in entries] == ["one", " two"]
    assert [[other.token for other in entry.top_logprobs] for entry in entries] == [["one"], [" two"]]
    stopped = client.chat.completions.create(model="echo", messages=HELLO, stop=["thr"])
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("one two ", "stop")


def test_a_tool_call(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    calls = {"script": {"calls": [{"name": "f", "arguments": '{"a":"ü"}'}, {"name": "f"}]}}
    answer = client.chat.completions.create(model="echo", messages=HELLO, tools=tools, extra_body=calls)
    message = answer.choices[0].message
    assert (answer.choices[0].finish_reason, message.content) == ("tool_calls", None)
    made = [call for call in message.tool_calls or () if call.type == "function"]
    assert [(call.function.name, call.function.arguments) for call in made] == [("f", '{"a":"ü"}'), ("f", "{}")]
    history: Any = [*HELLO, message, {"role": "tool", "content": "done", "tool_call_id": made[0].id}]
    again = client.chat.completions.create(model="echo", messages=history, tools=tools)
    assert again.choices[0].message.content == "done"


def test_an_answer_of_a_plain_chat_can_be_sent_back(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model="echo", messages=HELLO).choices[0].message
    history: Any = [*HELLO, first.model_dump(), {"role": "user", "content": "and?"}]
    assert client.chat.completions.create(model="echo", messages=history).choices[0].message.content == "and?"


def test_a_completion(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="echo", prompt=["a b", "c"], n=2, echo=True)
    assert answer.id.startswith("cmpl-")
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in answer.choices] == ["a ba b", "a ba b", "cc", "cc"]
    scored = client.completions.create(model="echo", prompt="one two three", logprobs=1, max_tokens=2)
    found = scored.choices[0].logprobs
    assert found is not None
    assert (found.tokens, found.token_logprobs, found.text_offset) == (["one", " two"], [0.0, 0.0], [0, 3])
    assert found.top_logprobs == [{"one": 0.0}, {" two": 0.0}]
    none = client.completions.create(model="echo", prompt="one two", logprobs=0).choices[0].logprobs
    assert none is not None
    assert none.top_logprobs == [{"one": 0.0}, {" two": 0.0}]
    assert scored.choices[0].finish_reason == "length"
    by_default = client.completions.create(model="echo", prompt=" w" * 20)
    assert by_default.usage is not None
    assert by_default.usage.completion_tokens == 16


def test_embeddings_as_numbers_and_base64(client: openai.OpenAI, echo_server: Running) -> None:
    numbers = client.embeddings.create(model="echo", input=["a", "b"], encoding_format="float")
    assert [item.index for item in numbers.data] == [0, 1]
    assert numbers.usage.total_tokens == 2
    packed = client.with_options().embeddings.with_raw_response.create(
        model="echo", input=["a", "b"], encoding_format="base64"
    )
    items = packed.http_response.json()["data"]
    unpacked = [struct.unpack("<16f", base64.b64decode(item["embedding"])) for item in items]
    assert unpacked == [tuple(item.embedding) for item in numbers.data]
    with openai.OpenAI(api_key="none", base_url=echo_server.base_url, max_retries=0) as lenient:
        assert len(lenient.embeddings.create(model="echo", input="a", dimensions=5).data[0].embedding) == 5
    tokens = client.embeddings.create(model="echo", input=[[1, 2], [3]], encoding_format="float")
    assert (len(tokens.data), tokens.usage.prompt_tokens) == (2, 3)


def test_models(client: openai.OpenAI) -> None:
    listed = client.models.list()
    assert [model.id for model in listed] == ["echo"]
    shown = client.models.retrieve("echo")
    assert (shown.id, shown.object, shown.owned_by) == ("echo", "model", "openai-proxy")
    assert client.models.list().data == listed.data
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("some/model")
    assert caught.value.code == "model_not_found"


def test_aliases_are_listed_honestly_and_answer(local: Local) -> None:
    entries = local.send("GET", "/v1/models").json["data"]
    assert [(entry["id"], entry["root"], entry["aliases"]) for entry in entries] == [
        ("echo", "echo", ["parrot"]),
        ("parrot", "echo", []),
    ]
    assert local.send("GET", "/v1/models/parrot").json["root"] == "echo"
    assert local.post(CHAT, chat(model="parrot")).json["model"] == "echo"


def test_the_default_model_serves_requests_that_name_none() -> None:
    body = completion()
    del body["model"]
    with Local(default_model="echo") as local:
        assert local.post("/v1/completions", body).json["model"] == "echo"
        assert local.post("/v1/completions", body | {"model": None}).status == 200
        local.post("/v1/completions", body | {"model": "other"}).refusal(404, "model_not_found", "model")


def test_a_model_refuses_kinds_it_does_not_serve(local: Local) -> None:
    served = local.app.edge.router.models["echo"]
    model = served.backend.model
    try:
        served.backend.model = type(model)(kinds=frozenset({"embedding"}))
        local.post(CHAT, chat()).refusal(400, "unsupported_parameter", "model")
    finally:
        served.backend.model = model


ROUTES = [
    ("GET", "/nothing", 404, "not_found"),
    ("POST", "/v1/nothing", 404, "not_found"),
    ("GET", "/v1", 404, "not_found"),
    ("GET", "/", 404, "not_found"),
    ("POST", "/v1/chat/completions/", 404, "not_found"),
    ("POST", "/v1//chat/completions", 404, "not_found"),
    ("GET", "/v1/models/", 404, "model_not_found"),
    ("GET", "/v1/models/a/b%2Fc", 404, "model_not_found"),
    ("GET", "/v1/models/%ff%00", 404, "model_not_found"),
    ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
    ("DELETE", "/v1/models/echo", 405, "method_not_allowed"),
    ("PUT", "/v1/completions", 405, "method_not_allowed"),
    ("PATCH", "/v1/embeddings", 405, "method_not_allowed"),
    ("OPTIONS", "/v1/embeddings", 405, "method_not_allowed"),
    ("BREW", "/v1/embeddings", 400, "bad_request"),
    ("POST", "/v1/models", 405, "method_not_allowed"),
    ("POST", "/health", 405, "method_not_allowed"),
    ("POST", "/admin/reload", 415, "unsupported_media_type"),
    ("GET", "/admin/nothing", 404, "not_found"),
    ("POST", "/v1/chat/completions", 400, "invalid_json"),
]


@pytest.mark.parametrize(("method", "path", "status", "code"), ROUTES)
def test_every_path_and_method_is_answered_in_shape(
    echo_server: Running, method: str, path: str, status: int, code: str
) -> None:
    body = b"x" if status == 415 else None
    headers = {"content_type": "text/plain"} if body else {}
    answer = ask(echo_server.port, method, path, body, **headers)
    assert (answer.status, answer.error["code"]) == (status, code)
    assert answer.error["type"] == "invalid_request_error"
    assert ("allow" in answer.headers) == (status == 405)


def test_heads_have_no_body(echo_server: Running) -> None:
    for path, status in (("/v1/models", 200), ("/health", 200), ("/nothing", 404), (CHAT, 405)):
        answer = ask(echo_server.port, "HEAD", path)
        assert (answer.status, answer.body) == (status, b"")
        assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content_type": "application/json"}, 200),
        ({"content_type": "Application/JSON; charset=utf-8"}, 200),
        ({"content_encoding": "identity"}, 200),
        ({"content_type": "text/plain"}, 415),
        ({"content_type": "application/x-www-form-urlencoded"}, 415),
        ({"content_type": "application/jsonp"}, 415),
        ({"content_type": ""}, 415),
        ({"content_encoding": "gzip"}, 415),
    ],
)
def test_content_types_and_codings(echo_server: Running, headers: dict[str, str], status: int) -> None:
    body = b'{"model":"echo","messages":[{"role":"user","content":"x"}]}'
    answer = ask(echo_server.port, "POST", CHAT, body, **headers)
    assert answer.status == status
    if status == 415:
        assert answer.error["code"] == "unsupported_media_type"
        assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    ("fault", "status", "code", "kind", "retry"),
    [
        ("early", 500, "engine_failed", "server_error", False),
        ("late", 500, "engine_failed", "server_error", False),
        ("unavailable", 503, "engine_unavailable", "server_error", True),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_engine_faults(fault: str, status: int, code: str, kind: str, retry: bool, stream: bool) -> None:
    with Local() as local:
        answer = local.post(CHAT, chat(script={"fail": fault, "after": 0 if stream else 1}, stream=stream))
    assert (answer.status, answer.error["code"], answer.error["type"]) == (status, code, kind)
    assert answer.headers.get("x-should-retry") == (None if retry else "false")
    assert ("retry-after" in answer.headers) is retry


def test_a_bug_shows_nothing_but_the_request_id(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(_: object) -> None:
        raise KeyError("/secret/path 0x7f")

    monkeypatch.setattr(local.app.edge.router, "run", break_down)
    answer = local.post(CHAT, chat())
    assert (answer.status, answer.error["code"]) == (500, "internal_error")
    assert answer.headers["x-request-id"] in answer.error["message"]
    assert "secret" not in answer.error["message"]
    assert answer.headers["x-should-retry"] == "false"


def test_an_echo_of_nothing_more_than_the_prompt(echo_server: Running) -> None:
    with echo_server.client() as client:
        answer = client.completions.create(model="echo", prompt="one two", max_tokens=0, echo=True)
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("one two", "length")
