"""`Sampling` and `extra` -> the engine's sampling fields. Nothing else of a request reaches the engine's sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backends.errors import Refused
from backends.requests import Sampling

# The engine takes the largest value for "draw a seed yourself".
SEEDS = 2**32 - 1


def fields(sampling: Sampling, extra: Mapping[str, Any], *, choice: int = 0, grammar: str = "") -> dict[str, Any]:
    """The engine's fields for one choice. With a seed no cache is used: its state would show in the text."""
    made: dict[str, Any] = {"cache_prompt": sampling.seed is None}
    _set(made, "temperature", sampling.temperature)
    _set(made, "top_p", sampling.top_p)
    if sampling.seed is not None:
        made["seed"] = (sampling.seed + choice) % SEEDS
    if sampling.presence_penalty:
        made["presence_penalty"] = sampling.presence_penalty
    if sampling.frequency_penalty:
        made["frequency_penalty"] = sampling.frequency_penalty
    if sampling.logit_bias:
        made["logit_bias"] = [[token, bias] for token, bias in sampling.logit_bias.items()]
    if grammar:
        made["grammar"] = grammar
    for name, engine_name in EXTRA.items():
        _set(made, engine_name, extra.get(name))
    return made


EXTRA = {
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
    "ignore_eos": "ignore_eos",
}


def check_tokens(sampling: Sampling, vocabulary: int | None) -> None:
    """Raises Refused for a logit_bias on a token that does not exist."""
    if vocabulary is None:
        return
    for token in sampling.logit_bias:
        if not 0 <= token < vocabulary:
            raise Refused(f"logit_bias: token ids go from 0 to {vocabulary - 1}.", param="logit_bias")


def _set(made: dict[str, Any], name: str, value: Any) -> None:
    if value is not None:
        made[name] = value
