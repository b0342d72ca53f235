"""The messages of a chat body -> `Message` values."""

from __future__ import annotations

from collections.abc import Sequence

from backends.errors import Unsupported
from backends.requests import Message, Text, ToolCall
from openai_proxy.config import Limits
from openai_proxy.dialects.openai import chat_body
from openai_proxy.dialects.openai.chat_body import AssistantMessage, RefusalPart, TextPart, ToolMessage
from openai_proxy.dialects.openai.checks import at_most
from openai_proxy.errors import InvalidRequest, TooManyItems


def messages(given: Sequence[chat_body.Message], limits: Limits) -> tuple[Message, ...]:
    """The conversation. Raises InvalidRequest, TooManyItems or Unsupported, each naming the message and part."""
    if not given:
        raise InvalidRequest("messages cannot be empty.", param="messages")
    at_most(given, limits.messages, "messages")
    parts = sum(len(message.content) for message in given if isinstance(message.content, list))
    if parts > limits.parts:
        raise TooManyItems(f"messages have {parts} parts; at most {limits.parts} are taken.", param="messages")
    calls: set[str] = set()
    return tuple(_message(message, f"messages.{index}", calls) for index, message in enumerate(given))


def _message(given: chat_body.Message, path: str, calls: set[str]) -> Message:
    parts = _parts(given.content, path)
    match given:
        case AssistantMessage():
            return _assistant(given, parts, path, calls)
        case ToolMessage():
            if given.tool_call_id not in calls:
                message = f"{path}.tool_call_id answers no call of an earlier message."
                raise InvalidRequest(message, param=f"{path}.tool_call_id")
            return Message(role="tool", parts=parts, name=given.name, tool_call_id=given.tool_call_id)
        case chat_body.UserMessage():
            return Message(role="user", parts=parts, name=given.name)
        case chat_body.SystemMessage() | chat_body.DeveloperMessage():
            return Message(role="system", parts=parts, name=given.name)


def _assistant(given: AssistantMessage, parts: tuple[Text, ...], path: str, calls: set[str]) -> Message:
    if given.function_call is not None or given.audio is not None:
        field = "audio" if given.audio is not None else "function_call"
        raise Unsupported(f"{path}.{field} is not supported.", param=f"{path}.{field}")
    if given.refusal is not None and not parts:
        parts = (Text(given.refusal),)
    made = tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in given.tool_calls or ())
    if not parts and not made:
        raise InvalidRequest(f"{path} needs content or tool_calls.", param=f"{path}.content")
    calls.update(call.id for call in made)
    return Message(role="assistant", parts=parts, name=given.name, tool_calls=made)


def _parts(content: chat_body.Content | None, path: str) -> tuple[Text, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Text(content),)
    if not content:
        raise InvalidRequest(f"{path}.content cannot be an empty list.", param=f"{path}.content")
    return tuple(_part(part, f"{path}.content.{index}") for index, part in enumerate(content))


def _part(part: chat_body.Part, path: str) -> Text:
    match part:
        case TextPart(text=text):
            return Text(text)
        case RefusalPart(refusal=refusal):
            return Text(refusal)
        case _:
            kind = str(part.__struct_config__.tag)
            raise Unsupported(f"This model does not take {kind} parts.", param=path)
