"""Which function answers what, behind the key."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from typing import TypeAlias

from openai_proxy.fake_upstream.answers import Stream, Whole, encode, error
from openai_proxy.fake_upstream.chat import chat
from openai_proxy.fake_upstream.completions import completion
from openai_proxy.fake_upstream.media import speech, transcription, translation
from openai_proxy.fake_upstream.pictures import edit, generation, variation
from openai_proxy.fake_upstream.requests import Order, Refusal, Request
from openai_proxy.fake_upstream.tokenizing import detokenize, tokenize
from openai_proxy.fake_upstream.vectors import embeddings, rerank, score

Answerer: TypeAlias = Callable[[Order], Whole | Stream]

MODELS = "/v1/models"
PROBES = frozenset({MODELS, "/health", "/metrics"})
ROUTES: dict[str, Answerer] = {
    "/v1/chat/completions": chat,
    "/v1/completions": completion,
    "/v1/embeddings": embeddings,
    "/v1/rerank": rerank,
    "/v2/rerank": rerank,
    "/rerank": rerank,
    "/v1/score": score,
    "/score": score,
    "/tokenize": tokenize,
    "/v1/tokenize": tokenize,
    "/detokenize": detokenize,
    "/v1/detokenize": detokenize,
    "/v1/audio/transcriptions": transcription,
    "/v1/audio/translations": translation,
    "/v1/audio/speech": speech,
    "/v1/images/generations": generation,
    "/v1/images/edits": edit,
    "/v1/images/variations": variation,
}


def answer(order: Order, key: str | None, gauges: Callable[[], Mapping[str, float]]) -> Whole | Stream:
    """The answer to anything but the control routes; a refusal is one too."""
    try:
        if order.request.path not in ("/health", "/metrics"):
            _check(order.request, key)
        return _route(order, gauges)
    except Refusal as refusal:
        body = error(refusal.status, str(refusal), refusal.code, refusal.param)
        return Whole(body, refusal.status)


def _check(request: Request, key: str | None) -> None:
    given = request.header(b"authorization") or ""
    if key is not None and not hmac.compare_digest(given.encode(), f"Bearer {key}".encode()):
        raise Refusal(401, "Incorrect API key provided.", "invalid_api_key")


def _route(order: Order, gauges: Callable[[], Mapping[str, float]]) -> Whole | Stream:
    request = order.request
    if found := ROUTES.get(request.path):
        _allow("POST", request)
        return found(order)
    if request.path == "/health":
        _allow("GET", request)
        return Whole(b"", order.script.health)
    if request.path == "/metrics":
        _allow("GET", request)
        return Whole(_metrics(order, gauges()), kind=b"text/plain; version=0.0.4; charset=utf-8")
    if request.path == MODELS or request.path.startswith(f"{MODELS}/"):
        _allow("GET", request)
        return Whole(_models(order))
    raise Refusal(404, f"Invalid URL ({request.method} {request.path[:100]})", "not_found")


def _allow(method: str, request: Request) -> None:
    if request.method != method:
        raise Refusal(405, f"Not allowed: {request.method[:20]} {request.path}", "method_not_allowed")


def _models(order: Order) -> bytes:
    entries = order.script.listed
    if entries is None:
        entries = [{"id": name} for name in order.models if name != "*"]
    listed = [{"object": "model", "created": 1, "owned_by": order.name, **entry} for entry in entries]
    if order.request.path == MODELS:
        return encode({"object": "list", "data": listed})
    wanted = order.model(order.request.path.removeprefix(f"{MODELS}/"))
    return encode({"id": wanted, "object": "model", "created": 1, "owned_by": order.name})


def _metrics(order: Order, gauges: Mapping[str, float]) -> bytes:
    lines = []
    for name, value in {**gauges, **order.script.gauges}.items():
        lines.append(f"# TYPE {name} gauge\n")
        for model in order.models:
            label = model.replace("\\", r"\\").replace('"', r"\"")
            lines.append(f'{name}{{engine="0",model_name="{label}"}} {value}\n')
    return "".join(lines).encode()
