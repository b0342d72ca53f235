"""`tools` and `tool_choice` -> what may and what must be called."""

from __future__ import annotations

import msgspec

from backends import Model
from backends.errors import SchemaTooComplex, Unsupported
from backends.requests import NamedTool, Tool, ToolChoice
from openai_proxy.bodies.chat_body import AllowedChoice, ChatBody, CustomChoice, FunctionTool, NamedChoice
from openai_proxy.bodies.checks import able, at_most
from openai_proxy.bodies.schema import check_schema
from openai_proxy.config import Limits
from openai_proxy.errors import InvalidRequest


def tools(body: ChatBody, model: Model, limits: Limits) -> tuple[tuple[Tool, ...], ToolChoice]:
    """The tools the model may call now and whether it must. Raises InvalidRequest, TooManyItems or Unsupported."""
    if body.tools is None or (not body.tools and body.tool_choice in (None, "none")):
        if body.tool_choice not in (None, "none"):
            raise InvalidRequest("tool_choice is only allowed when tools are given.", param="tool_choice")
        if body.parallel_tool_calls is not None:
            message = "parallel_tool_calls is only allowed when tools are given."
            raise InvalidRequest(message, param="parallel_tool_calls")
        return (), "none"
    able(model, "tools")
    if body.parallel_tool_calls is not None:
        able(model, "parallel_tool_calls")
    at_most(body.tools, limits.tools, "tools")
    if len(msgspec.json.encode(body.tools)) > limits.tool_bytes:
        raise SchemaTooComplex(f"tools are larger than {limits.tool_bytes} bytes.", param="tools")
    given = tuple(_tool(tool, f"tools.{index}", limits) for index, tool in enumerate(body.tools))
    names = {tool.name for tool in given}
    if len(names) < len(given):
        raise InvalidRequest("tools: two functions have the same name.", param="tools")
    return _chosen(body, given, names)


def _tool(tool: object, path: str, limits: Limits) -> Tool:
    if not isinstance(tool, FunctionTool):
        raise Unsupported(f"{path}: custom tools are not supported.", param=f"{path}.type")
    function = tool.function
    parameters = function.parameters or {}
    check_schema(parameters, limits, f"{path}.function.parameters")
    if parameters.get("type", "object") != "object":
        message = f"{path}.function.parameters must be the schema of an object."
        raise InvalidRequest(message, param=f"{path}.function.parameters")
    return Tool(name=function.name, description=function.description or "", parameters=parameters)


def _chosen(body: ChatBody, given: tuple[Tool, ...], names: set[str]) -> tuple[tuple[Tool, ...], ToolChoice]:
    match body.tool_choice:
        case NamedChoice(function=function):
            _known(function.name, names)
            return given, NamedTool(function.name)
        case AllowedChoice(allowed_tools=allowed):
            wanted = {tool.function.name for tool in allowed.tools}
            for name in wanted:
                _known(name, names)
            if not wanted:
                raise InvalidRequest("allowed_tools.tools cannot be empty.", param="tool_choice")
            return tuple(tool for tool in given if tool.name in wanted), allowed.mode
        case CustomChoice():
            raise Unsupported("tool_choice: custom tools are not supported.", param="tool_choice")
        case "required" if not given:
            raise InvalidRequest("tool_choice is required but there are no tools.", param="tool_choice")
        case choice:
            return given, choice or "auto"


def _known(name: str, names: set[str]) -> None:
    if name not in names:
        raise InvalidRequest(f"tool_choice names {name!r:.70}, which is not among the tools.", param="tool_choice")
