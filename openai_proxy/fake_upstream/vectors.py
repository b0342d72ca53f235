"""`POST /v1/embeddings`, `/v1/rerank` and `/v1/score`."""

from __future__ import annotations

import array
import base64
import functools
import time
from typing import Annotated, Literal

from msgspec import Meta, Raw, Struct

from openai_proxy.fake_upstream.answers import Whole, encode
from openai_proxy.fake_upstream.requests import Order
from openai_proxy.fake_upstream.texts import tokens

# The other components of every vector: exact as 32-bit floats, so that both forms tell the same numbers.
COMPONENT = 0.0078125


class EmbeddingBody(Struct):
    """What of a request is looked at."""

    input: str | list[Raw]
    model: str | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=10_000_000)] | None = None


class RerankBody(Struct):
    query: str
    documents: list[str | dict[str, str]]
    model: str | None = None
    top_n: int | None = None
    return_documents: bool | None = None


class ScoreBody(Struct):
    """The documents under the names that clients use for them."""

    model: str | None = None
    documents: str | list[str] | None = None
    text_2: str | list[str] | None = None
    data_2: str | list[str] | None = None
    items: str | list[str] | None = None


class PromptUsage(Struct):
    prompt_tokens: int
    total_tokens: int


def embeddings(order: Order) -> Whole:
    """Vectors whose first component is their index, so that their order can be checked."""
    body = order.decoded(EmbeddingBody)
    model = order.model(body.model)
    size = body.dimensions or order.script.dimensions
    vector = _packed if body.encoding_format == "base64" else _listed
    data = b",".join(
        b'{"object":"embedding","index":%d,"embedding":%b}' % (number, vector(number, size))
        for number in range(_inputs(body.input))
    )
    spent = encode(_usage(order))
    return Whole(b'{"object":"list","data":[%b],"model":%b,"usage":%b}' % (data, encode(model), spent))


def rerank(order: Order) -> Whole:
    """The later a document, the better it is."""
    body = order.decoded(RerankBody)
    model = order.model(body.model)
    texts = [each if isinstance(each, str) else each.get("text", "") for each in body.documents]
    ranked = sorted(range(len(texts)), reverse=True)[: body.top_n or None]
    results = [
        {"index": index, "relevance_score": (index + 1) / len(texts)}
        | ({} if body.return_documents is False else {"document": {"text": texts[index]}})
        for index in ranked
    ]
    identity = f"rerank-{order.request.number}"
    return Whole(encode({"id": identity, "model": model, "results": results, "usage": _usage(order)}))


def score(order: Order) -> Whole:
    """The later a document, the better it is."""
    body = order.decoded(ScoreBody)
    model = order.model(body.model)
    given = next((each for each in (body.documents, body.text_2, body.data_2, body.items) if each is not None), [])
    texts = [given] if isinstance(given, str) else given
    data = [{"index": index, "object": "score", "score": (index + 1) / len(texts)} for index in range(len(texts))]
    answer = {"id": f"score-{order.request.number}", "object": "list", "created": int(time.time()), "model": model}
    return Whole(encode({**answer, "data": data, "usage": _usage(order)}))


def _usage(order: Order) -> PromptUsage:
    spent = tokens(order.request.body)
    return PromptUsage(spent, spent)


def _inputs(given: str | list[Raw]) -> int:
    """How many texts, or lists of tokens, these are."""
    if isinstance(given, str):
        return 1
    return len(given) if given and bytes(given[0])[:1] in (b'"', b"[") else 1


def _listed(number: int, size: int) -> bytes:
    return b"[%d.0%b]" % (number, _others(size))


@functools.lru_cache(maxsize=4)
def _others(size: int) -> bytes:
    return b",%b" % str(COMPONENT).encode() * (size - 1)


def _packed(number: int, size: int) -> bytes:
    values = array.array("f", [COMPONENT]) * size
    values[0] = number
    return b'"%b"' % base64.b64encode(values.tobytes())
