"""Tools for models whose template knows none, and calls that are forced: grammar, description, scanner.

A forced call ends by its schema alone: stop strings do not apply to it. `auto` without a template that knows tools
lets the model write text, and holds it to a schema from the moment it writes `<tool_call>`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from backends.choices.calls import CLOSE, OPEN, Calls, WholeArguments
from backends.choices.choice import Scanner
from backends.constraints.constraint import json_of, literal, rules
from backends.errors import Refused
from backends.requests import ChatRequest, Constraint, NamedTool, Tool

MOST_CALLS = 8


def permitted(request: ChatRequest) -> tuple[Tool, ...]:
    """The tools the model may call. Raises Refused for a named tool that is not there, and for `required` of none."""
    match request.tool_choice:
        case "none":
            return ()
        case NamedTool(name=name):
            found = tuple(tool for tool in request.tools if tool.name == name)
            if not found:
                raise Refused("tool_choice names a tool that is not in tools.", param="tool_choice")
            return found
        case "required" if not request.tools:
            raise Refused("tool_choice is 'required', but there are no tools.", param="tool_choice")
        case _:
            return request.tools


def function(tool: Tool) -> dict[str, Any]:
    """A tool in OpenAI's form."""
    parameters = tool.parameters or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": dict(parameters)},
    }


def is_forced(request: ChatRequest) -> bool:
    """Whether the answer must be a call."""
    return request.tool_choice == "required" or isinstance(request.tool_choice, NamedTool)


def several(request: ChatRequest) -> bool:
    """Whether a forced answer may hold more than one call."""
    return request.tool_choice == "required" and bool(request.parallel_tool_calls)


def forced_grammar(tools: Sequence[Tool], many: bool) -> str:
    """Lark for one call (of one tool: the arguments alone), or for an array of 1 to MOST_CALLS calls."""
    if len(tools) == 1 and not many:
        return f"start: {_arguments(tools[0])}\n"
    start = f'start: "[" call (", " call){{0,{MOST_CALLS - 1}}} "]"\n' if many else "start: call\n"
    return start + _calls(tools)


def free_grammar(tools: Sequence[Tool], constraint: Constraint | None, many: bool) -> str:
    """Lark for text in which calls stand between tags; with a constraint, for calls or an answer that keeps it."""
    if constraint is not None:
        answer = rules("answer", constraint)
        calls = f'"{OPEN}" call "{CLOSE}"'
        repeat = f'("\\n{OPEN}" call "{CLOSE}"){{0,{MOST_CALLS - 1}}}' if many else ""
        return f"start: answer | {calls} {repeat}\n{answer}" + _calls(tools)
    tags = f"start: tag{{0,{MOST_CALLS}}} rest\n" if many else "start: rest | tag\n"
    return (
        tags
        + "rest: TEXT\n"
        + "TEXT: /(.|\\n)*/\n"
        + f'tag: opening call "{CLOSE}"\n'
        + f"opening[lazy]: /(.|\\n)*{OPEN}/\n"
        + _calls(tools)
    )


def scanner(tools: Sequence[Tool], *, forced: bool, many: bool) -> Scanner:
    """What reads the answer to the grammar above."""
    if not forced:
        return Calls(markup=True)
    return WholeArguments(tools[0].name) if len(tools) == 1 and not many else Calls(markup=False)


def description(tools: Sequence[Tool], *, forced: bool, many: bool) -> str:
    """What the system message says about the tools."""
    known = "\n".join(_described(tool) for tool in tools)
    text = f"You have these functions, each with the JSON schema of its arguments:\n{known}\n"
    form = '{"name": "function name", "arguments": {...}}'
    if not forced:
        return text + f"To call a function, write {OPEN}{form}{CLOSE}. Otherwise answer in plain words."
    if len(tools) == 1 and not many:
        return text + f"Answer only with the JSON object of arguments for {tools[0].name}."
    return text + (f"Answer only with a JSON array of calls: [{form}]." if many else f"Answer only with {form}.")


def _described(tool: Tool) -> str:
    about: dict[str, object] = {"name": tool.name, "parameters": tool.parameters}
    if tool.description:
        about["description"] = tool.description
    return json.dumps(about, ensure_ascii=False)


def _calls(tools: Sequence[Tool]) -> str:
    lines = ["call: " + " | ".join(f"call{number}" for number in range(len(tools)))]
    for number, tool in enumerate(tools):
        head = f'{{"name": {json.dumps(tool.name)}, "arguments": '
        lines.append(f'call{number}: {literal(head)} arguments{number} "}}"')
        lines.append(f"arguments{number}: {_arguments(tool)}")
    return "\n".join(lines) + "\n"


def _arguments(tool: Tool) -> str:
    """JSON of the tool's parameters; a tool without any takes the empty object."""
    schema = dict(tool.parameters)
    if not schema.get("properties") and not schema.keys() - {"type", "properties", "additionalProperties"}:
        schema = {"type": "object", "properties": {}, "additionalProperties": False}
    schema.setdefault("type", "object")
    schema.setdefault("additionalProperties", False)
    return json_of(schema, "tools")
