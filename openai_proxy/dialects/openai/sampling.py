"""Body fields -> `Sampling` and `extra`."""

from __future__ import annotations

from typing import Any

from backends import Model
from backends.requests import Constraint, Sampling
from openai_proxy.config import Limits
from openai_proxy.dialects.openai.checks import able, all_able, at_most, at_most_characters
from openai_proxy.dialects.openai.fields import EXTRA, TextFields
from openai_proxy.errors import InvalidRequest

HONOURED = ("temperature", "top_p", "max_tokens", "stop", "seed", *EXTRA)


def sampling(
    body: TextFields,
    model: Model,
    limits: Limits,
    *,
    constraint: Constraint | None,
    logprobs: int | None,
    max_tokens: int | None,
) -> Sampling:
    """How to sample, checked against the limits and what the model can. Raises InvalidRequest or Unsupported."""
    all_able(model, body, HONOURED)
    if max_tokens is not None:
        able(model, "max_tokens")
    if logprobs is not None:
        able(model, "logprobs")
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=max_tokens,
        stop=_stops(body, limits),
        seed=body.seed,
        n=_choices(body, model, limits),
        presence_penalty=_penalty(body, model, "presence_penalty"),
        frequency_penalty=_penalty(body, model, "frequency_penalty"),
        logit_bias=_biases(body, model, limits),
        logprobs=logprobs,
        constraint=constraint,
    )


def extra(body: TextFields) -> dict[str, Any]:
    """The engine options that the body sets."""
    return {name: value for name in EXTRA if (value := getattr(body, name)) is not None}


def includes_usage(body: TextFields) -> bool:
    """Whether a stream ends with a usage chunk. Raises InvalidRequest for stream options without a stream."""
    if body.stream_options is None:
        return False
    if not body.stream:
        raise InvalidRequest("stream_options is only allowed when stream is true.", param="stream_options")
    return bool(body.stream_options.include_usage)


def _stops(body: TextFields, limits: Limits) -> tuple[str, ...]:
    stops = [body.stop] if isinstance(body.stop, str) else body.stop or []
    at_most(stops, limits.stop, "stop")
    for stop in stops:
        at_most_characters(stop, limits.stop_length, "stop")
        if not stop:
            raise InvalidRequest("A stop string cannot be empty.", param="stop")
    return tuple(stops)


def _choices(body: TextFields, model: Model, limits: Limits) -> int:
    n = body.n or 1
    if n > limits.n:
        raise InvalidRequest(f"n is {n}; at most {limits.n} are made.", param="n")
    if n > 1:
        able(model, "n")
    return n


def _penalty(body: TextFields, model: Model, name: str) -> float:
    value: float = getattr(body, name) or 0.0
    if value:
        able(model, name)
    return value


def _biases(body: TextFields, model: Model, limits: Limits) -> dict[int, float]:
    if not body.logit_bias:
        return {}
    able(model, "logit_bias")
    at_most(body.logit_bias, limits.logit_bias, "logit_bias")
    biases: dict[int, float] = {}
    for token, bias in body.logit_bias.items():
        if not token.isascii() or not token.isdigit() or len(token) > 10:
            raise InvalidRequest("logit_bias: keys must be token ids.", param=f"logit_bias.{token:.20}")
        if model.vocabulary is not None and int(token) >= model.vocabulary:
            message = f"logit_bias: token ids end at {model.vocabulary - 1}."
            raise InvalidRequest(message, param=f"logit_bias.{token}")
        biases[int(token)] = bias
    return biases
