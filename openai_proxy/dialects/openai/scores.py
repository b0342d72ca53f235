"""`POST /v1/score` and `POST /v1/rerank`: how well documents answer a query.

Source: https://docs.vllm.ai/en/latest/models/pooling_models/scoring.html and https://jina.ai/reranker, whose shape
Cohere's is too. They are served under every path by which clients of these know them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from backends import Model
from backends.events import Outcome
from backends.requests import ScoreRequest
from openai_proxy.bodies.checks import all_able, at_most, model_of_kind
from openai_proxy.bodies.fields import Label, NotNegative, Truncation
from openai_proxy.config import Limits
from openai_proxy.decode import Given, decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.answers import identity
from openai_proxy.dialects.openai.embeddings import EmbeddingUsage
from openai_proxy.errors import InvalidRequest
from openai_proxy.wire import Incoming, Reply

SCORE_PATHS = ("/v1/score", "/score")
RERANK_PATHS = ("/v1/rerank", "/rerank", "/v2/rerank")
# What clients call the two sides: queries first.
SIDES = (("queries", "documents"), ("text_1", "text_2"), ("data_1", "data_2"), ("queries", "items"))
HONOURED = frozenset({"truncate_prompt_tokens", "use_activation"})


class ScoringFields(Struct, kw_only=True, forbid_unknown_fields=True):
    """What both take. `use_activation` false: a cross-encoder's number as it is, not between 0 and 1."""

    model: str | None = None
    truncate_prompt_tokens: Truncation | None = None
    use_activation: bool | None = None
    user: Label | None = None


class ScoreBody(ScoringFields, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/score`: one query for all documents, or one for each, under one of four pairs of names."""

    queries: str | list[str] | None = None
    documents: str | list[str] | None = None
    items: str | list[str] | None = None
    text_1: str | list[str] | None = None
    text_2: str | list[str] | None = None
    data_1: str | list[str] | None = None
    data_2: str | list[str] | None = None


class DocumentText(Struct, forbid_unknown_fields=True):
    """A document as an object."""

    text: str


class RerankBody(ScoringFields, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/rerank`. `top_n`: how many results at most, all for 0; `return_documents`: with their text."""

    query: str
    documents: str | list[str | DocumentText]
    top_n: NotNegative | None = None
    return_documents: bool | None = None


class ScoreItem(Struct):
    """The score of one document."""

    index: int
    score: float
    object: str = "score"


class ScoreList(Struct):
    """All scores, in the order of the documents."""

    id: str
    created: int
    model: str
    data: list[ScoreItem]
    usage: EmbeddingUsage
    object: str = "list"


class RerankResult(Struct):
    """A document by its place in the request."""

    index: int
    relevance_score: float
    document: DocumentText | UnsetType = UNSET


class RerankList(Struct):
    """The best documents, best first."""

    id: str
    model: str
    results: list[RerankResult]
    usage: EmbeddingUsage


class Scores:
    """Scores documents."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply:
        body, fields = await decode(incoming.body, ScoreBody)
        names = _names(fields)
        queries, documents = (_texts(getattr(body, name), name) for name in names)
        request, outcome = await scored(self.edge, incoming, body, fields, queries, documents, names)
        data = [ScoreItem(index, score) for index, score in enumerate(outcome.scores)]
        return Reply(
            msgspec.json.encode(ScoreList(identity("score-"), int(time.time()), request.model, data, _usage(outcome)))
        )


class Rerank:
    """Puts documents in order."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply:
        body, fields = await decode(incoming.body, RerankBody)
        documents = _documents(body.documents)
        queries = _texts(body.query, "query")
        request, outcome = await scored(self.edge, incoming, body, fields, queries, documents, ("query", "documents"))
        ranked = sorted(enumerate(outcome.scores), key=lambda pair: pair[1], reverse=True)
        shown = body.return_documents is not False
        results = [
            RerankResult(index, score, DocumentText(documents[index]) if shown else UNSET)
            for index, score in ranked[: body.top_n or len(ranked)]
        ]
        return Reply(msgspec.json.encode(RerankList(identity("rerank-"), request.model, results, _usage(outcome))))


async def scored(
    edge: Edge,
    incoming: Incoming,
    body: ScoringFields,
    fields: Given,
    queries: tuple[str, ...],
    documents: tuple[str, ...],
    names: tuple[str, str],
) -> tuple[ScoreRequest, Outcome]:
    """What the engine was asked and how it ended."""
    limits = edge.config.limits
    served, name = model_of_kind(edge.router, body.model, "score", limits)
    incoming.note_model(served.name)
    _check(queries, documents, names, limits)
    request = ScoreRequest(
        model=name,
        queries=queries,
        documents=documents,
        names=names,
        truncate_prompt_tokens=body.truncate_prompt_tokens,
        extra=_extra(body, fields, served.model),
    )
    return request, await Outcome.of(edge.router.run(request))


def _names(fields: Given) -> tuple[str, str]:
    """The pair of names that a body uses. Raises InvalidRequest."""
    used = fields.keys() & {name for pair in SIDES for name in pair}
    for pair in SIDES:
        missing = [name for name in pair if name not in used]
        if used <= set(pair) and not missing:
            return pair
        if used <= set(pair):
            raise InvalidRequest(f"{missing[0]} is required.", param=missing[0])
    raise InvalidRequest("The two sides must be queries and documents, or another pair of names.", param=max(used))


def _texts(given: str | Sequence[str], name: str) -> tuple[str, ...]:
    """One text or several, none of them empty. Raises InvalidRequest."""
    texts = (given,) if isinstance(given, str) else tuple(given)
    if not texts:
        raise InvalidRequest(f"{name} cannot be an empty list.", param=name)
    if "" in texts:
        place = name if isinstance(given, str) else f"{name}.{texts.index('')}"
        raise InvalidRequest(f"{place} cannot be an empty string.", param=place)
    return texts


def _documents(given: str | Sequence[str | DocumentText]) -> tuple[str, ...]:
    """The texts of documents. Raises InvalidRequest."""
    if isinstance(given, str):
        return _texts(given, "documents")
    return _texts([each if isinstance(each, str) else each.text for each in given], "documents")


def _check(queries: Sequence[str], documents: Sequence[str], names: tuple[str, str], limits: Limits) -> None:
    at_most(queries, limits.inputs, names[0])
    at_most(documents, limits.inputs, names[1])
    if len(queries) not in (1, len(documents)):
        message = f"{names[0]} must be one, or as many as {names[1]}: {len(queries)} for {len(documents)}."
        raise InvalidRequest(message, param=names[0])


def _extra(body: ScoringFields, fields: Given, model: Model) -> dict[str, Any]:
    all_able(model, fields, HONOURED)
    return {} if body.use_activation is None else {"use_activation": body.use_activation}


def _usage(outcome: Outcome) -> EmbeddingUsage:
    return EmbeddingUsage(outcome.usage.prompt, outcome.usage.prompt)
