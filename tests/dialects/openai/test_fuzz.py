"""Whatever a body is, the answer is an answer: never a 5xx, always in shape."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from openai_proxy.bodies.chat_body import ChatBody
from openai_proxy.bodies.completion import CompletionBody
from openai_proxy.bodies.embedding import EmbeddingBody
from openai_proxy.bodies.image_bodies import GenerationBody
from openai_proxy.dialects.openai.scores import RerankBody, ScoreBody
from openai_proxy.dialects.openai.tokens import DetokenizeBody, TokenizeBody
from tests.dialects.openai.local import CHAT, COMPLETIONS, EMBEDDINGS, Local, ask, chat, completion, embedding
from tests.running import Running

BODIES: dict[str, tuple[type[msgspec.Struct], dict[str, Any]]] = {
    CHAT: (ChatBody, chat(max_tokens=4)),
    COMPLETIONS: (CompletionBody, completion(max_tokens=4)),
    EMBEDDINGS: (EmbeddingBody, embedding()),
    "/score": (ScoreBody, {"model": "echo", "queries": "a", "documents": ["a", "b"]}),
    "/rerank": (RerankBody, {"model": "echo", "query": "a", "documents": ["a", {"text": "b"}]}),
    "/v1/images/generations": (GenerationBody, {"model": "echo", "prompt": "a", "size": "64x64"}),
    "/tokenize": (TokenizeBody, {"model": "echo", "prompt": "one two"}),
    "/detokenize": (DetokenizeBody, {"model": "echo", "tokens": [65, 66]}),
}
PATHS = st.sampled_from(sorted(BODIES))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["echo", "user", "text", "function", "required", "auto", "json_schema", "", "\ud800", "\x00"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "text", "role", "content", "function", "name", "json_schema", "schema", "x"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
MANY = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
FEW = settings(MANY, max_examples=60)
QUIET = {"script", "n"}  # a script may ask for a fault, and thousands of choices take their time


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, Any]:
    """A valid body with a few known fields set to anything."""
    path = draw(PATHS)
    kind, valid = BODIES[path]
    names = [field.encode_name for field in msgspec.structs.fields(kind) if field.name not in QUIET]
    return path, valid | draw(st.dictionaries(st.sampled_from(names), VALUES, min_size=1, max_size=3))


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """The bytes of a valid body with one piece replaced."""
    path = draw(PATHS)
    data = json.dumps(BODIES[path][1]).encode()
    first = draw(st.integers(0, len(data)))
    last = draw(st.integers(first, min(len(data), first + 6)))
    return path, data[:first] + draw(st.binary(max_size=6)) + data[last:]


def answered(local: Local, path: str, body: bytes) -> int:
    answer = local.post(path, body)
    assert answer.status in (200, 400, 404), answer
    if answer.status == 200 and answer.headers["content-type"] == "application/json":
        assert path.endswith("tokenize") or math.isfinite(answer.json["usage"]["total_tokens"])
    elif answer.status != 200:
        assert answer.error["type"] == "invalid_request_error"
        assert len(answer.error["message"]) <= 400
    return answer.status


@MANY
@given(mutated())
@example((CHAT, chat(tools=[{"type": "function", "function": {"name": "f", "parameters": {"maximum": 2**70}}}])))
@example((CHAT, chat(stop=["a"], stream=True, stream_options={})))
def test_valid_bodies_with_wrong_fields(local: Local, case: tuple[str, Any]) -> None:
    path, body = case
    answered(local, path, json.dumps(body).encode())


@MANY
@given(damaged())
def test_damaged_bodies(local: Local, case: tuple[str, bytes]) -> None:
    answered(local, *case)


@MANY
@given(PATHS, VALUES | st.dictionaries(st.text(max_size=5), VALUES, max_size=3))
def test_any_json(local: Local, path: str, body: Any) -> None:
    """A legacy completion needs no field at all."""
    status = answered(local, path, json.dumps(body, ensure_ascii=False).encode(errors="replace"))
    assert status == 400 or (path == COMPLETIONS and isinstance(body, dict))


@MANY
@given(PATHS, st.binary(max_size=60))
def test_any_bytes(local: Local, path: str, body: bytes) -> None:
    assert answered(local, path, body) == 400


@FEW
@given(mutated() | damaged())
def test_over_the_wire(echo_server: Running, case: tuple[str, Any]) -> None:
    path, body = case
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = ask(echo_server.port, "POST", path, data)
    assert answer.status in (200, 400, 404)
    assert answer.headers["x-request-id"]
    if answer.status != 200:
        assert answer.error["type"] == "invalid_request_error"
