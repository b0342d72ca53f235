"""What is too long is refused by its characters, before the engine spends time on tokens."""

from __future__ import annotations

from backends import Model
from backends.errors import ContextExceeded, Refused
from backends.requests import ChatRequest, Prompt

# No tokenizer in use makes tokens this long on average.
CHARACTERS_A_TOKEN = 8


def check_chat(request: ChatRequest, model: Model) -> None:
    """Raises ContextExceeded for a conversation that cannot fit."""
    length = sum(len(part.text) for message in request.messages for part in message.parts)
    length += sum(len(call.arguments) for message in request.messages for call in message.tool_calls)
    _check(length, model, "messages")


def check_prompt(prompt: Prompt, model: Model, param: str) -> None:
    """Raises ContextExceeded for a prompt that cannot fit, Refused for ids that are not the model's."""
    if isinstance(prompt, str):
        _check(len(prompt), model, param)
        return
    if model.vocabulary is not None and any(not 0 <= token < model.vocabulary for token in prompt):
        raise Refused(f"{param}: token ids go from 0 to {model.vocabulary - 1}.", param=param)
    if model.context is not None and len(prompt) > model.context:
        raise exceeded(model, param)


def exceeded(model: Model, param: str) -> ContextExceeded:
    """The error that names what was too long."""
    return ContextExceeded(f"The model takes at most {model.context} tokens; {param} is longer.", param=param)


def _check(length: int, model: Model, param: str) -> None:
    if model.context is not None and length > model.context * CHARACTERS_A_TOKEN:
        raise exceeded(model, param)
