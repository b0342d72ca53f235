"""The body of `POST /v1/embeddings` -> EmbeddingRequest.

Source: https://platform.openai.com/docs/api-reference/embeddings/create, as the `openai` Python SDK types it.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from backends import Model
from backends.requests import EmbeddingRequest, Form
from openai_proxy.bodies.checks import able, at_most
from openai_proxy.bodies.fields import Label, Positive, Token, Truncation
from openai_proxy.bodies.prompts import prompts
from openai_proxy.config import Limits
from openai_proxy.decode import Given
from openai_proxy.errors import InvalidRequest


class EmbeddingBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/embeddings`."""

    input: str | list[str | Token | list[Token]]
    model: str | None = None
    dimensions: Positive | None = None
    encoding_format: Literal["float", "base64"] | None = None
    truncate_prompt_tokens: Truncation | None = None
    user: Label | None = None


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
