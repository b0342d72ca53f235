"""The messages of a chat body -> `Message` values."""

from __future__ import annotations

from collections.abc import Sequence

from backends.errors import Unsupported
from backends.requests import Message, Role, Text, ToolCall
from openai_proxy.config import Limits
from openai_proxy.dialects.openai import chat_body
from openai_proxy.dialects.openai.chat_body import (
    AssistantMessage,
    DeveloperMessage,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from openai_proxy.dialects.openai.checks import at_most
from openai_proxy.errors import InvalidRequest, TooManyItems

SPOKEN: dict[type, Role] = {UserMessage: "user", SystemMessage: "system", DeveloperMessage: "system"}


def messages(given: Sequence[chat_body.Message], limits: Limits) -> tuple[Message, ...]:
    """The conversation. Raises InvalidRequest, TooManyItems or Unsupported, each naming the message and part."""
    if not given:
        raise InvalidRequest("messages cannot be empty.", param="messages")
    at_most(given, limits.messages, "messages")
    calls: set[str] = set()
    conversation = tuple([_message(message, index, calls) for index, message in enumerate(given)])
    if sum([len(message.parts) for message in conversation]) > limits.parts:
        parts = sum(len(message.content) for message in given if isinstance(message.content, list))
        if parts > limits.parts:
            raise TooManyItems(f"messages have {parts} parts; at most {limits.parts} are taken.", param="messages")
    return conversation


def _message(given: chat_body.Message, index: int, calls: set[str]) -> Message:
    content = given.content
    parts = (Text(content),) if isinstance(content, str) else _parts(content, f"messages.{index}")
    kind = type(given)
    if kind in SPOKEN:
        return Message(role=SPOKEN[kind], parts=parts, name=given.name)
    if isinstance(given, AssistantMessage):
        return _assistant(given, parts, f"messages.{index}", calls)
    assert isinstance(given, ToolMessage)
    if given.tool_call_id not in calls:
        param = f"messages.{index}.tool_call_id"
        raise InvalidRequest(f"{param} answers no call of an earlier message.", param=param)
    return Message(role="tool", parts=parts, name=given.name, tool_call_id=given.tool_call_id)


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
    reasoning = given.reasoning_content or given.reasoning or ""
    return Message(role="assistant", parts=parts, name=given.name, tool_calls=made, reasoning=reasoning)


def _parts(content: list[chat_body.Part] | None, path: str) -> tuple[Text, ...]:
    if content is None:
        return ()
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
