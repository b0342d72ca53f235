"""The backend `remote` over HTTP: the strict SDK in front, an upstream that remembers what it was asked behind."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from tests.conftest import servers
from tests.running import Running
from tests.sounds import tone
from tests.upstream import Seen, SeenRequest, Upstream, threaded

SAID: Any = [{"role": "user", "content": "Hello"}]
CONFIG = """
default_model = "ours"
[server]
grace = 0.0
drain = 1.0
[models.ours]
backend = "remote"
upstreams = [{{ url = "{url}", model = "theirs", key_env = "UPSTREAM_KEY", headers = {{ x-team = "red" }} }}]
[models.plain]
backend = "remote"
upstreams = [{{ url = "{url}/v1/" }}]
[models.texts]
backend = "remote"
upstreams = [{{ url = "{url}", model = "theirs", key_env = "UPSTREAM_KEY" }}]
options = {{ kinds = ["chat", "completion"] }}
"""
REFUSALS: list[tuple[str, int, str, str | None]] = [
    ("status-400", 400, "invalid_request_error", None),
    ("status-401", 502, "server_error", "upstream_unauthorized"),
    ("status-404", 404, "invalid_request_error", None),
    ("status-429", 429, "rate_limit_error", None),
    ("status-500", 500, "server_error", None),
    ("status-502", 502, "server_error", None),
    ("status-503", 503, "server_error", None),
]


@pytest.fixture(scope="module")
def fake() -> Iterator[Upstream]:
    with threaded(models=("theirs", "plain")) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(fake: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with servers(tmp_path_factory.mktemp("remote")) as start:
        # One for each refusal: an upstream that said when to come again is left alone for so long.
        others = [
            f'[models.{fault}{stream}]\nbackend = "remote"\n'
            f'upstreams = [{{ url = "{fake.url}", model = "theirs", key_env = "UPSTREAM_KEY" }}]\n'
            for fault, *_ in REFUSALS
            for stream in (False, True)
        ]
        yield start(CONFIG.format(url=fake.url) + "".join(others), UPSTREAM_KEY="sk-upstream-secret")


@pytest.fixture(autouse=True)
def forgotten(fake: Upstream) -> None:
    fake.reset()


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(
        base_url=server.base_url, api_key="none", max_retries=0, timeout=30, _strict_response_validation=True
    ) as client:
        yield client


def asked(fake: Upstream, path: str = "/v1/chat/completions") -> SeenRequest:
    """The last request for that path."""
    seen: Seen = fake.seen()
    return [each for each in seen.last if each.path == path][-1]


def test_a_chat_goes_on_under_the_upstreams_name_and_comes_back_under_ours(
    client: openai.OpenAI, fake: Upstream
) -> None:
    answer = client.chat.completions.create(model="ours", messages=SAID, temperature=0.5, seed=7)
    assert answer.model == "ours"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 0
    request = asked(fake)
    assert request.json == {"model": "theirs", "messages": SAID, "temperature": 0.5, "seed": 7}
    assert request.header("authorization") == "Bearer sk-upstream-secret"
    assert request.header("x-team") == "red"
    assert request.header("content-type") == "application/json"


def test_without_a_key_none_is_sent_and_the_clients_own_goes_nowhere(client: openai.OpenAI, fake: Upstream) -> None:
    client.chat.completions.create(model="plain", messages=SAID)
    assert asked(fake).header("authorization") is None
    assert asked(fake).json["model"] == "plain"


def test_a_stream_is_the_upstreams_without_the_usage_nobody_asked_for(client: openai.OpenAI, fake: Upstream) -> None:
    fake.script(chunks=5, delay=0.01)
    chunks = list(client.chat.completions.create(model="ours", messages=SAID, stream=True))
    assert {chunk.model for chunk in chunks} == {"ours"}
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "".join(
        f"{number:07d} " for number in range(5)
    )
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert asked(fake).json["stream_options"] == {"include_usage": True}


def test_usage_is_shown_once_where_it_was_asked_for(client: openai.OpenAI, fake: Upstream) -> None:
    for fault in (None, "duplicate-usage", "early-usage"):
        fake.script(chunks=4, fault=fault)
        chunks = list(
            client.chat.completions.create(
                model="ours", messages=SAID, stream=True, stream_options={"include_usage": True}
            )
        )
        usages = [chunk.usage for chunk in chunks if chunk.usage is not None]
        assert len(usages) == 1, fault
        assert usages[0].completion_tokens == 4
        assert chunks[-1].usage is not None
        assert not chunks[-1].choices


@pytest.mark.parametrize("fault", ["split", "merged", "crlf", "comments"])
def test_however_events_are_cut_the_stream_is_the_same(client: openai.OpenAI, fake: Upstream, fault: str) -> None:
    fake.script(chunks=6, fault=fault)
    chunks = list(client.chat.completions.create(model="ours", messages=SAID, stream=True))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == "".join(f"{number:07d} " for number in range(6))


def test_tools_are_called_through(client: openai.OpenAI, fake: Upstream) -> None:
    fake.script(calls=1)
    tools: list[Any] = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    answer = client.chat.completions.create(model="ours", messages=SAID, tools=tools, tool_choice="required")
    [call] = answer.choices[0].message.tool_calls or []
    assert call.type == "function"
    assert call.function.name == "look"
    assert asked(fake).json["tools"] == tools


def test_completions_plain_and_streamed(client: openai.OpenAI, fake: Upstream) -> None:
    fake.script(chunks=3)
    answer = client.completions.create(model="ours", prompt="Once", max_tokens=9)
    assert answer.model == "ours"
    assert asked(fake, "/v1/completions").json == {"model": "theirs", "prompt": "Once", "max_tokens": 9}
    response = httpx2.post(
        f"{client.base_url}completions", json={"model": "ours", "prompt": "Once", "stream": True}, timeout=30
    )
    events = [line[6:] for line in response.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    assert "".join(json.loads(each)["choices"][0]["text"] for each in events[:-1]) == answer.choices[0].text


def test_embeddings_go_through_as_they_are(client: openai.OpenAI, fake: Upstream) -> None:
    floats = client.embeddings.create(model="ours", input=["a", "b"], encoding_format="float", dimensions=4)
    assert floats.model == "ours"
    assert [len(item.embedding) for item in floats.data] == [4, 4]
    assert floats.usage.prompt_tokens > 0
    assert asked(fake, "/v1/embeddings").json["dimensions"] == 4
    body = {"model": "ours", "input": "a", "encoding_format": "base64"}
    packed = httpx2.post(f"{client.base_url}embeddings", json=body).json()["data"][0]["embedding"]
    assert struct.unpack("<8f", base64.b64decode(packed))


def test_rerank_and_score(server: Running, fake: Upstream) -> None:
    body = {"model": "ours", "query": "q", "documents": ["a", "b", "c"], "top_n": 2}
    ranked = httpx2.post(f"{server.base_url}/rerank", json=body).json()
    assert len(ranked["results"]) == 2
    assert ranked["results"][0]["relevance_score"] >= ranked["results"][1]["relevance_score"]
    assert ranked["model"] == "ours"
    assert asked(fake, "/v1/rerank").json["documents"] == ["a", "b", "c"]
    scored = httpx2.post(f"{server.base_url}/score", json={"text_1": ["a", "b"], "text_2": ["c", "d"]}).json()
    assert [item["index"] for item in scored["data"]] == [0, 1]
    assert asked(fake, "/v1/score").json["model"] == "theirs"


def test_tokenize_and_detokenize(server: Running, fake: Upstream) -> None:
    tokens = httpx2.post(f"{server.url}/tokenize", json={"prompt": "Hello there"}).json()["tokens"]
    assert tokens
    assert asked(fake, "/tokenize").json == {"model": "theirs", "prompt": "Hello there", "add_special_tokens": True}
    text = httpx2.post(f"{server.url}/detokenize", json={"tokens": tokens}).json()["prompt"]
    assert text == "Hello there"


def test_speech_is_written_down_there(client: openai.OpenAI, fake: Upstream) -> None:
    sound = ("some.wav", tone(seconds=1.0))
    heard = client.audio.transcriptions.create(model="ours", file=sound, language="en", prompt="Words.")
    assert heard.text
    request = asked(fake, "/v1/audio/transcriptions")
    assert (request.header("content-type") or "").startswith("multipart/form-data; boundary=")
    assert request.size > 32_000
    timed = client.audio.transcriptions.create(model="ours", file=sound, response_format="verbose_json")
    assert timed.segments
    english = httpx2.post(f"{client.base_url}audio/translations", data={"model": "ours"}, files={"file": sound})
    assert english.json()["text"]
    assert asked(fake, "/v1/audio/translations").size > 32_000


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"model": "ours", "messages": []}, "invalid_value", "messages"),
        ({"model": "ours", "messages": SAID, "temperature": 3}, "invalid_value", "temperature"),
        ({"model": "ours", "messages": SAID, "nonsense": 1}, "unknown_parameter", "nonsense"),
        ({"model": "ours", "messages": SAID, "functions": []}, "unsupported_parameter", "functions"),
    ],
)
def test_what_is_wrong_is_refused_before_it_goes_out(
    server: Running, fake: Upstream, body: dict[str, Any], code: str, param: str
) -> None:
    answer = httpx2.post(f"{server.base_url}/chat/completions", json=body)
    assert answer.status_code == 400
    assert (answer.json()["error"]["code"], answer.json()["error"]["param"]) == (code, param)
    assert "/v1/chat/completions" not in fake.seen().paths


@pytest.mark.parametrize(("fault", "status", "kind", "code"), REFUSALS)
@pytest.mark.parametrize("stream", [False, True])
def test_the_upstreams_errors_keep_their_status(
    server: Running, fake: Upstream, fault: str, status: int, kind: str, code: str | None, stream: bool
) -> None:
    message = "Look at http://10.1.2.3:8000/x with sk-upstream-secret."
    fake.script(fault=fault, retry_after=3, message=message)
    body = {"model": f"{fault}{stream}", "messages": SAID, "stream": stream}
    answer = httpx2.post(f"{server.base_url}/chat/completions", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["type"]) == (status, kind)
    assert code is None or error["code"] == code
    assert "10.1.2.3" not in answer.text
    assert "sk-upstream-secret" not in answer.text
    if status in (429, 503):
        assert answer.headers["retry-after"] == "3"


@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_of_fastapi_keeps_its_reason_and_its_field(
    client: openai.OpenAI, fake: Upstream, stream: bool
) -> None:
    fake.script(fault="status-422-detail", message="Bad value, see /usr/lib/python3.12/a.py at http://10.1.2.3/x")
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.chat.completions.create(model="ours", messages=SAID, stream=stream)
    error = refused.value
    assert (error.param, error.code, error.type) == ("messages.0", "invalid_value", "invalid_request_error")
    assert isinstance(error.body, dict)
    assert error.body["message"] == "messages.0: Bad value, see [file] at [address]"


def test_models_are_listed_with_the_context_that_the_upstream_tells(client: openai.OpenAI) -> None:
    assert {"ours", "plain"} <= {model.id for model in client.models.list()}


def test_metrics_count_tokens_and_requests(server: Running, client: openai.OpenAI, fake: Upstream) -> None:
    fake.script(chunks=7)
    before = _tokens(server)
    list(client.chat.completions.create(model="ours", messages=SAID, stream=True))
    client.chat.completions.create(model="ours", messages=SAID)
    assert _tokens(server) == before + 14


def _tokens(server: Running) -> float:
    text = httpx2.get(f"{server.url}/metrics").text
    name = 'openai_proxy_completion_tokens_total{model="ours"}'
    return next((float(line.split()[-1]) for line in text.splitlines() if line.startswith(name)), 0.0)


def test_kinds_limit_what_a_model_takes(fake: Upstream, server: Running, client: openai.OpenAI) -> None:
    entry = httpx2.get(f"{server.base_url}/models/texts").json()
    assert entry["kinds"] == ["chat", "completion"]
    assert client.chat.completions.create(model="texts", messages=SAID).model == "texts"
    assert client.completions.create(model="texts", prompt="Hello").model == "texts"
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="texts", input="Hello")
    assert "does not take embedding requests" in refused.value.message
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "model")
    others: dict[str, dict[str, Any]] = {"rerank": {"query": "a", "documents": ["b"]}, "tokenize": {"prompt": "a"}}
    for path, body in others.items():
        answer = httpx2.post(f"{server.base_url}/{path}", json={"model": "texts", **body})
        assert answer.status_code == 400, path
    with pytest.raises(openai.BadRequestError):
        client.audio.transcriptions.create(model="texts", file=("a.wav", tone(seconds=1.0), "audio/wav"))
    assert set(fake.seen().paths) <= {"/v1/models", "/v1/chat/completions", "/v1/completions"}


def test_a_refusal_keeps_its_status_however_much_it_says(server: Running, fake: Upstream) -> None:
    fake.script(fault="status-400", message="x" * 200_000)
    answer = httpx2.post(f"{server.base_url}/chat/completions", json={"model": "ours", "messages": SAID})
    assert answer.status_code == 400
    assert len(answer.content) < 4096
