"""Messages as the engine's chat templates take them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from backends.choices.calls import CLOSE, OPEN
from backends.requests import Message


def messages(
    conversation: tuple[Message, ...],
    *,
    knows_tools: bool,
    about_tools: str = "",
    contents: Mapping[int, list[dict[str, Any]]] | None = None,
) -> list[dict[str, Any]]:
    """The engine's messages. A template that does not know tools gets calls and results as marked text.

    `contents` are the parts of messages that are more than words, by place and as the engine takes them.
    """
    made = [_native(message) if knows_tools else _marked(message) for message in conversation]
    for place, content in (contents or {}).items():
        made[place]["content"] = content
    if not about_tools:
        return made
    if made and made[0]["role"] == "system":
        made[0]["content"] = f"{made[0]['content']}\n\n{about_tools}"
        return made
    return [{"role": "system", "content": about_tools}, *made]


def _native(message: Message) -> dict[str, Any]:
    made: dict[str, Any] = {"role": _role(message), "content": message.text}
    if message.name is not None:
        made["name"] = message.name
    if message.tool_calls:
        made["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.reasoning:  # templates differ in the name
        made["reasoning_content"] = made["reasoning"] = message.reasoning
    if message.tool_call_id is not None:
        made["tool_call_id"] = message.tool_call_id
    return made


def _marked(message: Message) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "user", "content": f"<tool_response>\n{message.text}\n</tool_response>"}
    calls = [
        f'{OPEN}{{"name": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}{CLOSE}'
        for call in message.tool_calls
    ]
    return {"role": _role(message), "content": "\n".join([message.text, *calls] if message.text else calls)}


def _role(message: Message) -> str:
    return "system" if message.role == "developer" else message.role
