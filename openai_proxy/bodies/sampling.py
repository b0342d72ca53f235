"""Body fields -> `Sampling` and `extra`."""

from __future__ import annotations

from backends import Model
from backends.requests import Constraint, Sampling
from openai_proxy.bodies.checks import able, all_able, at_most, at_most_characters, token_ids
from openai_proxy.bodies.fields import TextFields
from openai_proxy.config import Limits
from openai_proxy.decode import Given
from openai_proxy.errors import InvalidRequest

HONOURED = frozenset({"temperature", "top_p", "max_tokens", "stop", "seed", "prompt_logprobs"})


def sampling(
    body: TextFields,
    fields: Given,
    model: Model,
    limits: Limits,
    *,
    constraint: Constraint | None,
    logprobs: int | None,
    max_tokens: int | None,
) -> Sampling:
    """How to sample, checked against the limits and what the model can. Raises InvalidRequest or Unsupported."""
    all_able(model, fields, HONOURED)
    if max_tokens is not None:
        able(model, "max_tokens")
    if logprobs is not None:
        able(model, "logprobs")
    if body.presence_penalty:
        able(model, "presence_penalty")
    if body.frequency_penalty:
        able(model, "frequency_penalty")
    return Sampling(
        temperature=body.temperature,
        top_p=body.top_p,
        max_tokens=max_tokens,
        stop=() if body.stop is None else _stops(body.stop, limits),
        seed=body.seed,
        n=1 if body.n is None else _choices(body.n, model, limits),
        presence_penalty=body.presence_penalty or 0.0,
        frequency_penalty=body.frequency_penalty or 0.0,
        logit_bias=_biases(body.logit_bias, model, limits) if body.logit_bias else {},
        logprobs=logprobs,
        prompt_logprobs=None if body.prompt_logprobs is None else _of_prompt(body.prompt_logprobs, body),
        constraint=constraint,
    )


def includes_usage(body: TextFields) -> bool:
    """Whether a stream ends with a usage chunk. Raises InvalidRequest for stream options without a stream."""
    if body.stream_options is None:
        return False
    if not body.stream:
        raise InvalidRequest("stream_options is only allowed when stream is true.", param="stream_options")
    return bool(body.stream_options.include_usage)


def _stops(given: str | list[str], limits: Limits) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else given
    at_most(stops, limits.stop, "stop")
    for stop in stops:
        at_most_characters(stop, limits.stop_length, "stop")
        if not stop:
            raise InvalidRequest("A stop string cannot be empty.", param="stop")
    return tuple(stops)


def _of_prompt(alternatives: int, body: TextFields) -> int:
    if body.stream:
        raise InvalidRequest("prompt_logprobs is not available in a stream.", param="prompt_logprobs")
    return alternatives


def _choices(n: int, model: Model, limits: Limits) -> int:
    if n > limits.n:
        raise InvalidRequest(f"n is {n}; at most {limits.n} are made.", param="n")
    if n > 1:
        able(model, "n")
    return n


def _biases(given: dict[str, float], model: Model, limits: Limits) -> dict[int, float]:
    able(model, "logit_bias")
    at_most(given, limits.logit_bias, "logit_bias")
    biases: dict[int, float] = {}
    for token, bias in given.items():
        if not token.isascii() or not token.isdigit() or len(token) > 10:
            raise InvalidRequest("logit_bias: keys must be token ids.", param=f"logit_bias.{token:.20}")
        token_ids((int(token),), model, f"logit_bias.{token}")
        biases[int(token)] = bias
    return biases
