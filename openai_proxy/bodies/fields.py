"""Request fields that chat and legacy completions share.

Source: https://platform.openai.com/docs/api-reference, as the `openai` Python SDK types it; the last group are options
that vLLM, llama.cpp and others take through `extra_body`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct


def whole(pattern: str) -> Meta:
    """A text that `pattern` matches to its very end: before a last line break there is an end for `$`, but only in
    Python, which is why the description of the API keeps it.
    """
    return Meta(pattern=rf"^{pattern}\Z", extra_json_schema={"pattern": f"^{pattern}$"})


Penalty = Annotated[float, Meta(ge=-2, le=2)]
Bias = Annotated[float, Meta(ge=-100, le=100)]
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]
NotNegative = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Truncation = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
Label = Annotated[str, Meta(max_length=512)]
Metadata = dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]]


class StreamOptions(Struct, forbid_unknown_fields=True):
    """`include_usage`: one more chunk with the usage; `include_obfuscation` has no effect, chunks are never padded."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


class StructuredOutputs(Struct, forbid_unknown_fields=True, rename={"json_": "json"}):
    """vLLM's way to constrain an answer: exactly one field; `structural_tag` is refused."""

    json_: dict[str, Any] | None = None
    json_object: bool | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    structural_tag: dict[str, Any] | str | None = None


class TextFields(Struct, kw_only=True, forbid_unknown_fields=True):
    """Fields of every request for text."""

    model: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(gt=0, le=1)] | None = None
    n: Positive | None = None
    max_tokens: Positive | None = None
    stop: str | list[str] | None = None
    seed: Integer | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Bias] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: Label | None = None

    max_time: Annotated[float, Meta(gt=0, le=604_800)] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    min_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] | None = None
    ignore_eos: bool | None = None
    min_tokens: NotNegative | None = None
    structured_outputs: StructuredOutputs | None = None
    regex: str | None = None
    choice: list[str] | None = None
    grammar: str | None = None
    script: dict[str, Any] | None = None

    priority: Integer | None = None
    prompt_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    stop_token_ids: list[Token] | None = None
    include_stop_str_in_output: bool | None = None
    bad_words: list[str] | None = None
    allowed_token_ids: list[Token] | None = None
    skip_special_tokens: bool | None = None
    spaces_between_special_tokens: bool | None = None
    truncate_prompt_tokens: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    truncation_side: Literal["left", "right"] | None = None
    thinking_token_budget: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    cache_salt: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^@/\\\x00]*$")] | None = None
    add_special_tokens: bool | None = None
    return_tokens_as_token_ids: bool | None = None
    use_beam_search: bool | None = None
    length_penalty: float | None = None


ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]

# What goes to the engine as it is.
EXTRA = frozenset(
    {"top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens", "script", "priority", "stop_token_ids"}
    | {"include_stop_str_in_output", "bad_words", "allowed_token_ids", "skip_special_tokens", "cache_salt"}
    | {"spaces_between_special_tokens", "truncate_prompt_tokens", "truncation_side", "thinking_token_budget"}
    | {"add_special_tokens", "return_tokens_as_token_ids"}
)
ACCEPTED = frozenset(
    {"user", "metadata", "store", "service_tier", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}
    | {"safety_identifier", "prediction", "verbosity"}
)
