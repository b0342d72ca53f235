"""Tool calls and reasoning as each family of models writes them.

Source of the outputs: the chat templates of these models on huggingface.co.
"""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct

from backends.requests import Tool

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}, "exact": {"type": "boolean"}},
}
TOOLS = (Tool(name="weather", parameters=SCHEMA), Tool(name="now"))
FIRST = {"city": "R\u00f6m", "days": 3}
SECOND = {"city": 'New "York"', "exact": True}


def text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


class Case(Struct, frozen=True, kw_only=True):
    """What a model of `model_type` says: `marks` are tokens of its vocabulary, `template` a piece of its template.

    `calls` is how many of the two calls `said` makes. `parsers` are those that its family has.
    """

    model_type: str
    parsers: tuple[str | None, str | None]
    said: str
    marks: tuple[str, ...] = ()
    template: str = ""
    calls: int = 2
    content: str = ""
    reasoning: str = ""
    prompt: str = ""


def hermes(value: dict[str, Any]) -> str:
    return f'<tool_call>\n{{"name": "weather", "arguments": {text(value)}}}\n</tool_call>'


def function(value: dict[str, Any]) -> str:
    parameters = "".join(f"<parameter={name}>\n{_bare(given)}\n</parameter>\n" for name, given in value.items())
    return f"<tool_call>\n<function=weather>\n{parameters}</function>\n</tool_call>"


def glm(value: dict[str, Any], line: str = "\n") -> str:
    pairs = "".join(
        f"<arg_key>{name}</arg_key>{line}<arg_value>{_bare(given)}</arg_value>{line}" for name, given in value.items()
    )
    return f"<tool_call>weather{line}{pairs}</tool_call>"


def gemma(value: dict[str, Any]) -> str:
    pairs = (
        f'{name}:<|"|>{given}<|"|>' if isinstance(given, str) else f"{name}:{_bare(given)}"
        for name, given in value.items()
    )
    return f"<|tool_call>call:weather{{{','.join(pairs)}}}<tool_call|>"


def pythonic(*values: dict[str, Any]) -> str:
    calls = (f"weather({', '.join(f'{name}={given!r}' for name, given in value.items())})" for value in values)
    return f"[{', '.join(calls)}]"


def minimax(*values: dict[str, Any]) -> str:
    calls = "".join(
        '<invoke name="weather">\n'
        + "".join(f'<parameter name="{name}">{_bare(given)}</parameter>\n' for name, given in value.items())
        + "</invoke>\n"
        for value in values
    )
    return f"<minimax:tool_call>\n{calls}</minimax:tool_call>"


def deepseek(value: dict[str, Any], *, old: bool) -> str:
    head = "function<\uff5ctool\u2581sep\uff5c>weather\n```json\n" if old else "weather<\uff5ctool\u2581sep\uff5c>"
    tail = "\n```" if old else ""
    return f"<\uff5ctool\u2581call\u2581begin\uff5c>{head}{text(value)}{tail}<\uff5ctool\u2581call\u2581end\uff5c>"


def _bare(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


DEEPSEEK = tuple(
    f"<\uff5ctool\u2581{name}\uff5c>"
    for name in ("calls\u2581begin", "calls\u2581end", "call\u2581begin", "call\u2581end", "sep")
)
THINK = ("<think>", "</think>")
KIMI = tuple(
    f"<|tool_{name}|>"
    for name in ("calls_section_begin", "calls_section_end", "call_begin", "call_end", "call_argument_begin")
)
LLAMA_HELP = 'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}.'
HERMES_HELP = '{"name": <function-name>, "arguments": <args-json-object>}'

CASES = {
    "qwen2.5": Case(
        model_type="qwen2",
        parsers=("hermes", None),
        template=HERMES_HELP,
        marks=("<tool_call>", "</tool_call>"),
        said=f"Let me see.\n{hermes(FIRST)}\n{hermes(SECOND)}",
        content="Let me see.",
    ),
    "qwen3": Case(
        model_type="qwen3",
        parsers=("hermes", "qwen3"),
        template=HERMES_HELP + "<think>",
        marks=("<tool_call>", "</tool_call>", *THINK),
        said=f"<think>\nHm.\n</think>\n\n{hermes(FIRST)}\n{hermes(SECOND)}",
        reasoning="Hm.",
    ),
    "qwen3 instruct": Case(
        model_type="qwen3_moe",
        parsers=("hermes", None),
        template=HERMES_HELP,
        marks=("<tool_call>", "</tool_call>", *THINK),
        said=f"Sure. {hermes(FIRST)}",
        calls=1,
        content="Sure.",
    ),
    "qwen3 coder": Case(
        model_type="qwen3_moe",
        parsers=("qwen3_coder", None),
        template="<function=",
        marks=("<tool_call>", "</tool_call>"),
        said=f"I look.\n{function(FIRST)}\n{function(SECOND)}",
        content="I look.",
    ),
    "qwen3.5": Case(
        model_type="qwen3_5_moe",
        parsers=("qwen3_coder", "qwen3"),
        template="<function=<think>",
        marks=("<tool_call>", "</tool_call>", *THINK),
        said=f"Hm.\n</think>\n\n{function(FIRST)}\n{function(SECOND)}",
        prompt="<think>\n",
        reasoning="Hm.",
    ),
    "qwq": Case(
        model_type="qwen2",
        parsers=("hermes", "deepseek_r1"),
        template=HERMES_HELP + "<think>\\n",
        marks=("<tool_call>", "</tool_call>", *THINK),
        said=f"Hm.\n</think>\n\n{hermes(FIRST)}",
        prompt="<think>\n",
        calls=1,
        reasoning="Hm.",
    ),
    "llama3": Case(
        model_type="llama",
        parsers=("llama3_json", None),
        template=LLAMA_HELP,
        marks=("<|python_tag|>", "<|eom_id|>"),
        said=f'{{"name": "weather", "parameters": {text(FIRST)}}}',
        calls=1,
    ),
    "llama3 with tag": Case(
        model_type="llama",
        parsers=("llama3_json", None),
        template=LLAMA_HELP,
        marks=("<|python_tag|>", "<|eom_id|>"),
        said=f'<|python_tag|>{{"name": "weather", "parameters": {text(FIRST)}}}; '
        f'{{"name": "weather", "parameters": {text(SECOND)}}}',
    ),
    "hermes3 on llama": Case(
        model_type="llama",
        parsers=("hermes", None),
        template=HERMES_HELP,
        marks=("<|python_tag|>", "<tool_call>", "</tool_call>"),
        said=f"{hermes(FIRST)}\n{hermes(SECOND)}",
    ),
    "r1 distilled": Case(
        model_type="llama",
        parsers=(None, "deepseek_r1"),
        template="<\uff5cAssistant\uff5c><think>\\n",
        marks=("<|python_tag|>", *THINK),
        said="Hm.\n</think>\n\nRain.",
        prompt="<think>\n",
        calls=0,
        reasoning="Hm.",
        content="Rain.",
    ),
    "llama4": Case(
        model_type="llama4",
        parsers=("llama4_pythonic", None),
        marks=("<|python_start|>", "<|python_end|>"),
        said=f"<|python_start|>{pythonic(FIRST, SECOND)}<|python_end|>",
    ),
    "mistral": Case(
        model_type="mistral",
        parsers=("mistral", None),
        marks=("[TOOL_CALLS]",),
        said=f'[TOOL_CALLS][{{"name": "weather", "arguments": {text(FIRST)}}}, '
        f'{{"name": "weather", "arguments": {text(SECOND)}}}]',
    ),
    "mistral small": Case(
        model_type="mistral3",
        parsers=("mistral", None),
        marks=("[TOOL_CALLS]", "[ARGS]"),
        said=f"[TOOL_CALLS]weather[ARGS]{text(FIRST)}[TOOL_CALLS]weather[ARGS]{text(SECOND)}",
    ),
    "granite3": Case(
        model_type="granite",
        parsers=("granite", None),
        marks=("<|tool_call|>",),
        said=f'<|tool_call|>[{{"name": "weather", "arguments": {text(FIRST)}}}, '
        f'{{"name": "weather", "arguments": {text(SECOND)}}}]',
    ),
    "granite4": Case(
        model_type="granitemoehybrid",
        parsers=("granite4", None),
        template=HERMES_HELP,
        marks=("<tool_call>", "</tool_call>"),
        said=f"{hermes(FIRST)}\n{hermes(SECOND)}",
    ),
    "glm4.5": Case(
        model_type="glm4_moe",
        parsers=("glm45", "glm45"),
        marks=("<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", *THINK),
        said=f"<think>Hm.</think>\nI look.\n{glm(FIRST)}\n{glm(SECOND)}",
        reasoning="Hm.",
        content="I look.",
    ),
    "glm4.7": Case(
        model_type="glm4_moe_lite",
        parsers=("glm47", "glm47"),
        marks=("<tool_call>", "</tool_call>", "<arg_key>", "</arg_key>", "<arg_value>", "</arg_value>", *THINK),
        said=f"Hm.</think>I look.{glm(FIRST, line='')}{glm(SECOND, line='')}",
        prompt="<think>",
        reasoning="Hm.",
        content="I look.",
    ),
    "kimi k2": Case(
        model_type="kimi_k2",
        parsers=("kimi_k2", None),
        marks=KIMI,
        said="I look.<|tool_calls_section_begin|>"
        f"<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{text(FIRST)}<|tool_call_end|>"
        f"<|tool_call_begin|>functions.weather:1<|tool_call_argument_begin|>{text(SECOND)}<|tool_call_end|>"
        "<|tool_calls_section_end|>",
        content="I look.",
    ),
    "kimi k2 thinking": Case(
        model_type="kimi_k2",
        parsers=("kimi_k2", "kimi_k2"),
        template="<think>",
        marks=(*KIMI, *THINK),
        said="<think>Hm.</think><|tool_calls_section_begin|>"
        f"<|tool_call_begin|>functions.weather:0<|tool_call_argument_begin|>{text(FIRST)}<|tool_call_end|>"
        "<|tool_calls_section_end|>",
        calls=1,
        reasoning="Hm.",
    ),
    "deepseek v3": Case(
        model_type="deepseek_v3",
        parsers=("deepseek_v3", None),
        template="```json<\uff5ctool\u2581sep\uff5c>",
        marks=DEEPSEEK,
        said=f"{DEEPSEEK[0]}{deepseek(FIRST, old=True)}\n{deepseek(SECOND, old=True)}{DEEPSEEK[1]}",
    ),
    "deepseek r1": Case(
        model_type="deepseek_v3",
        parsers=("deepseek_v3", "deepseek_r1"),
        template="```json<\uff5ctool\u2581sep\uff5c><\uff5cAssistant\uff5c><think>\\n",
        marks=(*DEEPSEEK, *THINK),
        said=f"Hm.\n</think>\n\n{DEEPSEEK[0]}{deepseek(FIRST, old=True)}{DEEPSEEK[1]}",
        prompt="<think>\n",
        calls=1,
        reasoning="Hm.",
    ),
    "deepseek v3.1": Case(
        model_type="deepseek_v3",
        parsers=("deepseek_v31", "deepseek_v3"),
        template="<\uff5ctool\u2581sep\uff5c>{% if thinking %}<think>",
        marks=(*DEEPSEEK, *THINK),
        said=f"I look.{DEEPSEEK[0]}{deepseek(FIRST, old=False)}{deepseek(SECOND, old=False)}{DEEPSEEK[1]}",
        content="I look.",
    ),
    "minimax m2": Case(
        model_type="minimax_m2",
        parsers=("minimax_m2", "minimax_m2"),
        marks=("<minimax:tool_call>", "</minimax:tool_call>", *THINK),
        said=f"Hm.</think>\n\n{minimax(FIRST, SECOND)}",
        prompt="<think>\n",
        reasoning="Hm.",
    ),
    "seed oss": Case(
        model_type="seed_oss",
        parsers=("seed_oss", "seed_oss"),
        marks=("<seed:tool_call>", "</seed:tool_call>", "<seed:think>", "</seed:think>"),
        said="<seed:think>Hm.</seed:think>"
        + function(FIRST).replace("tool_call>", "seed:tool_call>").replace("/seed:", "/seed:"),
        calls=1,
        reasoning="Hm.",
    ),
    "internlm2": Case(
        model_type="internlm2",
        parsers=("internlm", None),
        marks=("<|action_start|>", "<|action_end|>", "<|plugin|>"),
        said=f'I look.<|action_start|><|plugin|>{{"name": "weather", "parameters": {text(FIRST)}}}<|action_end|>',
        calls=1,
        content="I look.",
    ),
    "olmo3": Case(
        model_type="olmo3",
        parsers=("olmo3", None),
        template="<function_calls>",
        said="<function_calls>" + pythonic(FIRST)[1:-1] + "\n" + pythonic(SECOND)[1:-1] + "</function_calls>",
    ),
    "olmo3 thinking": Case(
        model_type="olmo3",
        parsers=("olmo3", "olmo3"),
        template="<function_calls><think>",
        marks=("\u0120</", "</", "think", ">"),
        said=f"Hm.</think><function_calls>{pythonic(FIRST)[1:-1]}</function_calls>",
        prompt="<think>",
        calls=1,
        reasoning="Hm.",
    ),
    "apertus": Case(
        model_type="apertus",
        parsers=("apertus", None),
        marks=("<|tools_prefix|>", "<|tools_suffix|>"),
        said=f'I look.<|tools_prefix|>[{{"weather": {text(FIRST)}}}, {{"weather": {text(SECOND)}}}]<|tools_suffix|>',
        content="I look.",
    ),
    "gemma4": Case(
        model_type="gemma4",
        parsers=("gemma4", "gemma4"),
        marks=("<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", '<|"|>'),
        said=f"<|channel>thought\nHm.\n<channel|>{gemma(FIRST)}{gemma(SECOND)}",
        reasoning="Hm.",
    ),
    "lfm2": Case(
        model_type="lfm2",
        parsers=("lfm2", None),
        marks=("<|tool_call_start|>", "<|tool_call_end|>"),
        said=f"<|tool_call_start|>{pythonic(FIRST, SECOND)}<|tool_call_end|>I look.",
        content="I look.",
    ),
    "nemotron 3": Case(
        model_type="nemotron_h",
        parsers=("qwen3_coder", "nemotron_v3"),
        template="<function=<think>",
        marks=("<tool_call>", "</tool_call>", *THINK),
        said=f"Hm.\n</think>\n\n{function(FIRST)}\n{function(SECOND)}",
        prompt="<think>\n",
        reasoning="Hm.",
    ),
    "longcat": Case(
        model_type="longcat_flash",
        parsers=("longcat", None),
        marks=("<longcat_tool_call>", "</longcat_tool_call>"),
        said=(hermes(FIRST) + "\n" + hermes(SECOND)).replace("tool_call>", "longcat_tool_call>"),
    ),
    "ernie4.5": Case(
        model_type="ernie4_5_moe",
        parsers=("ernie45", "ernie45"),
        template="<think><tool_call>",
        marks=("<tool_call>", "</tool_call>", "<response>", "</response>", "<0x0A>", *THINK),
        said=f"Hm.\n</think>\n\n{hermes(FIRST)}\n\n{hermes(SECOND)}\n",
        prompt="<think>\n",
        reasoning="Hm.",
    ),
    "step3": Case(
        model_type="step3_vl",
        parsers=("step3", "step3"),
        marks=("<\uff5ctool_calls_begin\uff5c>", "<\uff5ctool_calls_end\uff5c>", *THINK),
        said="Hm.</think><\uff5ctool_calls_begin\uff5c><\uff5ctool_call_begin\uff5c>function<\uff5ctool_sep\uff5c>"
        '<steptml:invoke name="weather"><steptml:parameter name="city">R\u00f6m</steptml:parameter>'
        '<steptml:parameter name="days">3</steptml:parameter></steptml:invoke>'
        "<\uff5ctool_call_end\uff5c><\uff5ctool_calls_end\uff5c>",
        calls=1,
        reasoning="Hm.",
    ),
    "smollm3": Case(
        model_type="smollm3",
        parsers=("hermes", None),
        template=HERMES_HELP,
        said=f"{hermes(FIRST)}",
        calls=1,
    ),
    "a family that is not known": Case(
        model_type="unheard_of", parsers=(None, None), marks=("<tool_call>",), said="Hello.", calls=0, content="Hello."
    ),
}
