"""Which of vLLM's parsers read a model's tool calls and its reasoning: by its family, its template and its tokens."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

from msgspec import Struct

from backends.vllm.compat import Library, Unfit
from backends.vllm.options import NONE, Options


class Signs(Struct, frozen=True):
    """What tells a model's family: the `model_type` of its config.json, its chat template and its vocabulary."""

    model_type: str
    template: str
    tokens: Container[str]

    @classmethod
    def of(cls, config: Any, template: str | None, tokenizer: Any) -> Signs:
        """By the model's configuration, the template that replaces its own if one does, and its tokenizer."""
        text = template or template_text(tokenizer)
        return cls(getattr(config, "model_type", ""), text, tokenizer.get_vocab())


def template_text(tokenizer: Any) -> str:
    """The chat template of a tokenizer, or all of several; empty without one."""
    own = getattr(tokenizer, "chat_template", None)
    return own if isinstance(own, str) else "\n".join((own or {}).values())


class Parser(Struct, frozen=True):
    """The name of a parser; `mark` must be a token of a model and `template` in its template for it to fit."""

    name: str
    mark: str = ""
    template: str = ""

    def fits(self, signs: Signs) -> bool:
        return (not self.mark or self.mark in signs.tokens) and self.template in signs.template


# How templates explain calls: in the manner of Hermes, as Llama 3.1 and later, and as Qwen's coders.
JSON_HELP = '{"name": <function-name>, "arguments": <args-json-object>}'
HERMES = Parser("hermes", template=JSON_HELP)
LLAMA = Parser("llama3_json", mark="<|python_tag|>", template='"parameters": dictionary of argument name')
QWEN_CODER = Parser("qwen3_coder", template="<function=")
# The template opens the thinking itself, so that only its end is written.
OPENED = Parser("deepseek_r1", template="<think>\\n")
QWEN_THINKS = Parser("qwen3", template="<think>")
SEPARATOR = "<\uff5ctool\u2581sep\uff5c>"

# By `model_type`, of several the first that fits. A family that is not here may explain calls as Hermes does.
TOOLS: Mapping[str, Sequence[Parser]] = {
    "apertus": (Parser("apertus", mark="<|tools_prefix|>"),),
    "deepseek_v3": (
        Parser("deepseek_v3", mark=SEPARATOR, template="```json"),
        Parser("deepseek_v31", mark=SEPARATOR, template=SEPARATOR),
    ),
    "ernie4_5": (Parser("ernie45", mark="<tool_call>", template="<tool_call>"),),
    "ernie4_5_moe": (Parser("ernie45", mark="<tool_call>", template="<tool_call>"),),
    "gemma4": (Parser("gemma4"),),
    "glm4_moe": (Parser("glm45", mark="<tool_call>"),),
    "glm4_moe_lite": (Parser("glm47", mark="<tool_call>"),),
    "glm_moe_dsa": (Parser("glm47", mark="<tool_call>"),),
    "granite": (Parser("granite", mark="<|tool_call|>"),),
    "granitemoehybrid": (Parser("granite4", mark="<tool_call>"),),
    "internlm2": (Parser("internlm", mark="<|action_start|>"),),
    "kimi_k2": (Parser("kimi_k2", mark="<|tool_calls_section_begin|>"),),
    "kimi_k25": (Parser("kimi_k2", mark="<|tool_calls_section_begin|>"),),
    "lfm2": (Parser("lfm2", mark="<|tool_call_start|>"),),
    "lfm2_moe": (Parser("lfm2", mark="<|tool_call_start|>"),),
    "llama": (HERMES, LLAMA),
    "llama4": (Parser("llama4_pythonic"),),
    "longcat_flash": (Parser("longcat", mark="<longcat_tool_call>"),),
    "minimax_m2": (Parser("minimax_m2"),),
    "ministral3": (Parser("mistral", mark="[TOOL_CALLS]"),),
    "mistral": (HERMES, Parser("mistral", mark="[TOOL_CALLS]")),
    "mistral3": (Parser("mistral", mark="[TOOL_CALLS]"),),
    "mixtral": (HERMES, Parser("mistral", mark="[TOOL_CALLS]")),
    "mllama": (LLAMA,),
    "nemotron_h": (QWEN_CODER,),
    "olmo3": (Parser("olmo3", template="<function_calls>"),),
    "seed_oss": (Parser("seed_oss"),),
    "step3_text": (Parser("step3"),),
    "step3_vl": (Parser("step3"),),
}
USUAL_TOOLS = (QWEN_CODER, HERMES)
REASONING: Mapping[str, Sequence[Parser]] = {
    "deepseek_v3": (Parser("deepseek_v3", template="thinking"), OPENED),
    "ernie4_5_moe": (Parser("ernie45", template="<think>"),),
    "gemma4": (Parser("gemma4"),),
    "glm4_moe": (Parser("glm45", mark="<think>"),),
    "glm4_moe_lite": (Parser("glm47", mark="<think>"),),
    "glm_moe_dsa": (Parser("glm47", mark="<think>"),),
    "kimi_k2": (Parser("kimi_k2", mark="<think>", template="<think>"),),
    "kimi_k25": (Parser("kimi_k2", mark="<think>", template="<think>"),),
    "llama": (OPENED,),
    "minimax_m2": (Parser("minimax_m2", mark="<think>"),),
    "nemotron_h": (Parser("nemotron_v3", template="<think>"),),
    "olmo3": (Parser("olmo3", template="<think>"),),
    "qwen2": (OPENED,),
    "qwen3": (QWEN_THINKS,),
    "qwen3_5": (QWEN_THINKS,),
    "qwen3_5_moe": (QWEN_THINKS,),
    "qwen3_moe": (QWEN_THINKS,),
    "qwen3_next": (QWEN_THINKS,),
    "seed_oss": (Parser("seed_oss"),),
    "step3_text": (Parser("step3", mark="<think>"),),
    "step3_vl": (Parser("step3", mark="<think>"),),
}
# Its prompts are not made by a template, and its answers are channels: this backend does not speak that.
HARMONY = "gpt_oss"


def chosen(library: Library, signs: Signs, options: Options) -> tuple[str | None, str | None]:
    """The names of the tool parser and of the reasoning parser. Raises Unfit for one that does not exist."""
    if signs.model_type == HARMONY:
        raise Unfit("Models of the family gpt-oss are not supported by this backend yet.")
    tools = TOOLS.get(signs.model_type, USUAL_TOOLS)
    reasoning = REASONING.get(signs.model_type, ())
    return (
        _named(library.ToolParserManager, options.tool_parser, "tool", tools, signs),
        _named(library.ReasoningParserManager, options.reasoning_parser, "reasoning", reasoning, signs),
    )


def _named(manager: Any, wanted: str | None, kind: str, usual: Sequence[Parser], signs: Signs) -> str | None:
    registered = manager.list_registered()
    if wanted is None:
        return next((parser.name for parser in usual if parser.fits(signs) and parser.name in registered), None)
    if wanted == NONE:
        return None
    if wanted not in registered:
        raise Unfit(f"vLLM has no {kind} parser {wanted!r}; it has {', '.join(sorted(registered))}.")
    return wanted
