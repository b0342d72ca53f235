"""`Sampling` and `extra` -> vLLM's SamplingParams. Nothing else of a request reaches the engine's sampler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backends.errors import Refused
from backends.requests import Sampling
from backends.vllm.loaded import Loaded

# Options that go to the sampler as they are.
PASSED = (
    "include_stop_str_in_output",
    "bad_words",
    "allowed_token_ids",
    "spaces_between_special_tokens",
    "thinking_token_budget",
)
# What the model's own generation_config may fill in, and what holds without it.
USUAL = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": 0.0, "repetition_penalty": 1.0}
SEEDS = 2**63
# Below this vLLM takes this, and writes a line of log for each request.
COOLEST = 0.01


def parameters(
    loaded: Loaded,
    sampling: Sampling,
    extra: Mapping[str, Any],
    *,
    choice: int,
    room: int,
    grammar: str = "",
    stops: bool = True,
    special: bool = False,
    of_prompt: int | None = None,
) -> Any:
    """For one choice, for which `room` tokens are left. `stops`: the engine looks for the stop strings.

    `special`: special tokens show in the text, for a parser that looks for them; `of_prompt` alternatives are told for
    each token of the prompt. Raises Refused.
    """
    library = loaded.library
    most = min(room, sampling.max_tokens or loaded.defaults.get("max_tokens") or room)
    least = extra.get("min_tokens") or 0
    if least > most:
        raise Refused(f"min_tokens is {least}, but at most {most} tokens can be written.", param="min_tokens")
    given = {"temperature": sampling.temperature, "top_p": sampling.top_p, **extra}
    chosen = {name: _chosen(given.get(name), loaded.defaults, name) for name in USUAL}
    if 0 < chosen["temperature"] < COOLEST:
        chosen["temperature"] = COOLEST
    return library.SamplingParams(
        **chosen,
        presence_penalty=sampling.presence_penalty,
        frequency_penalty=sampling.frequency_penalty,
        seed=None if sampling.seed is None else _seed(sampling.seed + choice),
        stop=list(sampling.stop) if stops else None,
        stop_token_ids=[*(loaded.defaults.get("stop_token_ids") or ()), *extra.get("stop_token_ids", ())],
        ignore_eos=bool(extra.get("ignore_eos")),
        max_tokens=most,
        min_tokens=least,
        logprobs=sampling.logprobs,
        prompt_logprobs=of_prompt,
        logit_bias=dict(sampling.logit_bias) or None,
        skip_special_tokens=not special and extra.get("skip_special_tokens", True),
        structured_outputs=library.StructuredOutputsParams(grammar=grammar) if grammar else None,
        output_kind=library.RequestOutputKind.DELTA,
        skip_clone=True,
        **({name: extra[name] for name in PASSED if name in extra} if extra else {}),
    )


def _chosen(value: Any, defaults: Mapping[str, Any], name: str) -> Any:
    return defaults.get(name, USUAL[name]) if value is None else value


def _seed(seed: int) -> int:
    """Within 64 bits; -1 would mean no seed to vLLM."""
    wrapped = (seed + SEEDS) % (2 * SEEDS) - SEEDS
    return 0 if wrapped == -1 else wrapped
