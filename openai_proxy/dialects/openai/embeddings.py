"""`POST /v1/embeddings`.

Source: https://platform.openai.com/docs/api-reference/embeddings/create, as the `openai` Python SDK types it.
"""

from __future__ import annotations

import array
import base64
from typing import Literal

import msgspec
from msgspec import Struct

from backends import Model
from backends.events import Outcome
from backends.requests import EmbeddingRequest, Form
from openai_proxy.config import Limits
from openai_proxy.decode import Given, decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.checks import able, at_most, served_model
from openai_proxy.dialects.openai.fields import Label, Positive, Token, Truncation
from openai_proxy.dialects.openai.prompts import prompts
from openai_proxy.errors import InvalidRequest
from openai_proxy.wire import Incoming, Reply


class EmbeddingBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/embeddings`."""

    input: str | list[str | Token | list[Token]]
    model: str | None = None
    dimensions: Positive | None = None
    encoding_format: Literal["float", "base64"] | None = None
    truncate_prompt_tokens: Truncation | None = None
    user: Label | None = None


class EmbeddingUsage(Struct):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingItem(Struct):
    """The vector of one input: numbers, or base64 of little-endian float32."""

    index: int
    embedding: list[float] | str
    object: str = "embedding"


class EmbeddingList(Struct):
    """All vectors, in the order of the inputs."""

    data: list[EmbeddingItem]
    model: str
    usage: EmbeddingUsage
    object: str = "list"


class Embeddings:
    """Embeds texts."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply:
        body, fields = await decode(incoming.body, EmbeddingBody)
        limits = self.edge.config.limits
        served = served_model(self.edge.router, body.model, "embedding", limits)
        incoming.note_model(served.name)
        request = embedding_request(body, fields, served.called(body.model), served.model, limits)
        outcome = await Outcome.of(self.edge.router.run(request))
        if outcome.relayed is not None:
            return Reply(outcome.relayed)
        shown = _base64 if body.encoding_format == "base64" else _floats
        data = [EmbeddingItem(index, shown(vector)) for index, vector in enumerate(outcome.vectors)]
        counted = EmbeddingUsage(outcome.usage.prompt, outcome.usage.prompt)
        return Reply(msgspec.json.encode(EmbeddingList(data, request.model, counted)))


def embedding_request(body: EmbeddingBody, fields: Given, name: str, model: Model, limits: Limits) -> EmbeddingRequest:
    """The body as the engine is asked. Raises InvalidRequest, TooManyItems or Unsupported."""
    inputs = prompts(body.input, "input")
    at_most(inputs, limits.inputs, "input")
    if any(item == "" for item in inputs):
        raise InvalidRequest("input cannot be an empty string.", param="input")
    if any(not isinstance(item, str) for item in inputs):
        able(model, "token_prompts", "input")
    if body.dimensions is not None:
        able(model, "dimensions")
        if model.dimensions is not None and body.dimensions > model.dimensions:
            raise InvalidRequest(f"dimensions: this model has {model.dimensions}.", param="dimensions")
    if body.truncate_prompt_tokens is not None:
        able(model, "truncate_prompt_tokens")
    return EmbeddingRequest(
        model=name,
        inputs=inputs,
        dimensions=body.dimensions,
        truncate_prompt_tokens=body.truncate_prompt_tokens,
        form=Form(fields, body=fields.body) if model.relays else None,
    )


def _vector(data: bytes) -> array.array[float]:
    vector = array.array("f")
    vector.frombytes(data)
    return vector


def _floats(data: bytes) -> list[float]:
    return _vector(data).tolist()


def _base64(data: bytes) -> str:
    vector = _vector(data)
    if memoryview(b"\1\0").cast("H")[0] != 1:
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode("ascii")
