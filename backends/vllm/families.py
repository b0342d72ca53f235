"""Which of vLLM's parsers read a model's tool calls and its reasoning, by the family in its config.json."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from backends.vllm.compat import Library, Unfit
from backends.vllm.options import NONE, Options


class Family(Struct, frozen=True):
    """Names of parsers; `mark` must be a token of a model for its tool parser to fit."""

    tools: str | None = None
    reasoning: str | None = None
    mark: str | None = None


# By `model_type`. Families whose members differ in their markup are left out: there the option names the parser.
FAMILIES = {
    "qwen2": Family("hermes", None, "<tool_call>"),
    "qwen2_moe": Family("hermes", None, "<tool_call>"),
    "qwen3": Family("hermes", "qwen3", "<tool_call>"),
    "qwen3_moe": Family("hermes", "qwen3", "<tool_call>"),
    "llama": Family("llama3_json", None, "<|python_tag|>"),
    "mllama": Family("llama3_json", None, "<|python_tag|>"),
    "llama4": Family("llama4_pythonic", None),
    "mistral": Family("mistral", None, "[TOOL_CALLS]"),
    "mistral3": Family("mistral", None, "[TOOL_CALLS]"),
    "granite": Family("granite", None, "<|tool_call|>"),
    "glm4_moe": Family("glm45", "glm45", "<tool_call>"),
    "kimi_k2": Family("kimi_k2", "kimi_k2"),
    "minimax_m2": Family("minimax_m2", "minimax_m2"),
    "seed_oss": Family("seed_oss", "seed_oss"),
    "gemma4": Family("gemma4", "gemma4"),
    "phi3": Family("phi4_mini_json", None, "<|tool|>"),
}
# Its prompts are not made by a template, and its answers are channels: this backend does not speak that.
HARMONY = "gpt_oss"


def reasoning_parser(library: Library, options: Options, model_type: str) -> str | None:
    """The reasoning parser's name. Raises Unfit for one that does not exist."""
    if model_type == HARMONY:
        raise Unfit("Models of the family gpt-oss are not supported by this backend yet.")
    wanted = options.reasoning_parser
    return _named(library.ReasoningParserManager, wanted, "reasoning", FAMILIES.get(model_type, Family()).reasoning)


def tool_parser(library: Library, options: Options, model_type: str, tokenizer: Any) -> str | None:
    """The tool parser's name, if the model has its mark. Raises Unfit for one that does not exist."""
    family = FAMILIES.get(model_type, Family())
    marked = family.mark is None or family.mark in tokenizer.get_vocab()
    return _named(library.ToolParserManager, options.tool_parser, "tool", family.tools if marked else None)


def _named(manager: Any, wanted: str | None, kind: str, usual: str | None) -> str | None:
    registered = manager.list_registered()
    if wanted is None:
        return usual if usual in registered else None
    if wanted == NONE:
        return None
    if wanted not in registered:
        raise Unfit(f"vLLM has no {kind} parser {wanted!r}; it has {', '.join(sorted(registered))}.")
    return wanted
