"""What is too long is refused by its characters, before the engine spends time on tokens."""

from __future__ import annotations

from backends import Model
from backends.errors import ContextExceeded, Refused
from backends.requests import ChatRequest, Prompt, Tokens

# No tokenizer in use makes tokens this long on average.
CHARACTERS_A_TOKEN = 8
# Of a text that is cut anyway, an engine reads no more than this.
READ_A_TOKEN = 64


def check_chat(request: ChatRequest, model: Model) -> None:
    """Raises ContextExceeded for a conversation that cannot fit."""
    length = sum(len(message.text) for message in request.messages)
    length += sum(len(call.arguments) for message in request.messages for call in message.tool_calls)
    _check(length, model, "messages")


def check_prompt(prompt: Prompt, model: Model, param: str) -> None:
    """Raises ContextExceeded for a prompt that cannot fit, Refused for ids that are not the model's."""
    if isinstance(prompt, str):
        _check(len(prompt), model, param)
        return
    check_ids(prompt, model, param)
    if model.context is not None and len(prompt) > model.context:
        raise exceeded(model, param, f"has {len(prompt)}")


def check_ids(tokens: Tokens, model: Model, param: str) -> None:
    """Raises Refused for ids that are not the model's."""
    if model.vocabulary is not None and any(not 0 <= token < model.vocabulary for token in tokens):
        raise Refused(f"{param}: token ids go from 0 to {model.vocabulary - 1}.", param=param)


def kept(wanted: int | None, model: Model, least: int) -> int | None:
    """How many tokens `truncate_prompt_tokens` leaves, None for all of them. Raises Refused for more than the model
    takes, and for fewer than `least`.
    """
    if wanted is None:
        return None
    if wanted == -1:
        return model.context
    if wanted < least or (model.context is not None and wanted > model.context):
        most = "" if model.context is None else f" to {model.context}"
        message = f"truncate_prompt_tokens goes from {least}{most}, or is -1."
        raise Refused(message, param="truncate_prompt_tokens")
    return wanted


def cut(prompt: Prompt, model: Model, param: str, keep: int | None) -> Prompt:
    """The prompt, of which an engine is to keep so many tokens, without what it need not read; None: all of it.

    Raises as `check_prompt` does.
    """
    if keep is None:
        check_prompt(prompt, model, param)
        return prompt
    if isinstance(prompt, str):
        return prompt[: keep * READ_A_TOKEN]
    check_ids(prompt, model, param)
    return prompt[:keep]


def exceeded(model: Model, param: str, found: str = "is longer", what: str | None = None) -> ContextExceeded:
    """The error that names what was too long; `found` says how long, where it was counted."""
    return ContextExceeded(f"The model takes at most {model.context} tokens; {what or param} {found}.", param=param)


def _check(length: int, model: Model, param: str) -> None:
    if model.context is not None and length > model.context * CHARACTERS_A_TOKEN:
        raise exceeded(model, param, f"has {length} characters, which is more")
