"""The body of `POST /v1/completions` -> CompletionRequest.

Source: https://platform.openai.com/docs/api-reference/completions/create, as the `openai` Python SDK types it.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from backends import Model
from backends.errors import Unsupported
from backends.requests import CompletionRequest, Form, Prompt
from openai_proxy.bodies.checks import able, at_most
from openai_proxy.bodies.constraints import constraint
from openai_proxy.bodies.fields import NotNegative, Positive, TextFields, Token
from openai_proxy.bodies.options import options
from openai_proxy.bodies.prompts import prompts
from openai_proxy.bodies.sampling import sampling
from openai_proxy.config import Limits
from openai_proxy.decode import Given
from openai_proxy.errors import InvalidRequest

MAX_TOKENS = 16


class CompletionBody(TextFields, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/completions`."""

    prompt: str | list[str | Token | list[Token]] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    max_tokens: NotNegative | None = None
    best_of: Positive | None = None
    suffix: str | None = None


def completion_request(
    body: CompletionBody, fields: Given, name: str, model: Model, limits: Limits
) -> CompletionRequest:
    """The body as the engine is asked. Raises InvalidRequest, Unsupported and their kin, each naming the field."""
    if body.suffix is not None:
        raise Unsupported("suffix is not supported.", param="suffix")
    if body.best_of is not None and body.best_of != (body.n or 1):
        raise Unsupported("best_of is only supported when it equals n.", param="best_of")
    if body.echo:
        able(model, "echo")
    if body.echo and body.logprobs is not None and "prompt_logprobs" not in model.parameters:
        raise Unsupported("This model has no log probabilities of an echoed prompt.", param="echo")
    given = _prompts(body, limits)
    if any(not isinstance(prompt, str) for prompt in given):
        able(model, "token_prompts", "prompt")
    wanted = constraint(body, fields, model, limits)
    return CompletionRequest(
        model=name,
        prompts=given,
        sampling=sampling(
            body,
            fields,
            model,
            limits,
            constraint=wanted,
            logprobs=body.logprobs,
            max_tokens=MAX_TOKENS if body.max_tokens is None else body.max_tokens,
        ),
        echo=bool(body.echo),
        extra=options(body, fields, model, limits),
        form=Form(fields, bool(body.stream), fields.body) if model.relays and body.max_time is None else None,
        seconds=body.max_time,
    )


def _prompts(body: CompletionBody, limits: Limits) -> tuple[Prompt, ...]:
    given = prompts("<|endoftext|>" if body.prompt is None else body.prompt, "prompt")
    at_most(given, limits.prompts, "prompt")
    if len(given) * (body.n or 1) > limits.prompts:
        raise InvalidRequest(f"prompt times n is more than {limits.prompts} choices.", param="n")
    return given
