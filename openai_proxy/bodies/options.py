"""Fields that other servers' users send beside OpenAI's -> `extra`, within bounds.

A value that changes nothing is left out, so that clients may send it to any model. Source: vLLM's request fields,
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import msgspec

from backends import Model
from backends.errors import Unsupported
from openai_proxy.bodies.chat_body import ChatBody
from openai_proxy.bodies.checks import able, at_most, at_most_characters, token_ids
from openai_proxy.bodies.fields import EXTRA, TextFields
from openai_proxy.config import Limits
from openai_proxy.decode import Given
from openai_proxy.errors import InvalidRequest

OF_CHATS = frozenset({"echo", "add_generation_prompt", "continue_final_message", "chat_template_kwargs"})
# The engine would search in its own way, past all that is promised of sampling.
UNSEARCHED = {"use_beam_search": False, "length_penalty": 1.0}
ALL = EXTRA | OF_CHATS | UNSEARCHED.keys()
# By these names a model says that it honours a field, where the field's own means something else to another route.
NAMES = {"echo": "chat_echo"}
NEUTRAL: Mapping[str, Any] = {
    "ignore_eos": False,
    "min_tokens": 0,
    "priority": 0,
    "stop_token_ids": [],
    "bad_words": [],
    "include_stop_str_in_output": False,
    "skip_special_tokens": True,
    "spaces_between_special_tokens": True,
    "thinking_token_budget": -1,
    "return_tokens_as_token_ids": False,
    "echo": False,
    "add_generation_prompt": True,
    "continue_final_message": False,
    "chat_template_kwargs": {},
}


class Templated(Protocol):
    """A body with values for a chat's template."""

    add_generation_prompt: bool | None
    continue_final_message: bool | None
    chat_template_kwargs: dict[str, Any] | None


def options(body: TextFields, fields: Given, model: Model, limits: Limits) -> dict[str, Any]:
    """The engine's options that the body sets. Raises InvalidRequest, TooManyItems or Unsupported."""
    if fields.keys().isdisjoint(ALL):
        return {}
    for name, only in UNSEARCHED.items():
        if name in fields and getattr(body, name) != only:
            raise Unsupported(f"{name} is not supported: there is no beam search.", param=name)
    names = fields.keys() & (EXTRA | OF_CHATS if isinstance(body, ChatBody) else EXTRA)
    wanted = {name: getattr(body, name) for name in sorted(names) if not _changes_nothing(body, name)}
    for name in wanted:
        able(model, NAMES.get(name, name), name)
    _check_tokens(wanted, model, limits)
    _check_words(wanted, limits)
    _check_prompt(wanted)
    if isinstance(body, ChatBody):
        check_template(body, limits)
    return wanted


def _changes_nothing(body: TextFields, name: str) -> bool:
    if name == "add_special_tokens":  # a chat's template writes them, a text has none
        return bool(body.add_special_tokens) is not isinstance(body, ChatBody)
    return name in NEUTRAL and bool(getattr(body, name) == NEUTRAL[name])


def _check_tokens(wanted: Mapping[str, Any], model: Model, limits: Limits) -> None:
    for name in ("stop_token_ids", "allowed_token_ids"):
        if name in wanted:
            at_most(wanted[name], limits.token_ids, name)
            token_ids(wanted[name], model, name)
    if wanted.get("allowed_token_ids") == []:
        raise InvalidRequest("allowed_token_ids cannot be empty.", param="allowed_token_ids")


def _check_words(wanted: Mapping[str, Any], limits: Limits) -> None:
    words = wanted.get("bad_words", ())
    at_most(words, limits.bad_words, "bad_words")
    for word in words:
        at_most_characters(word, limits.stop_length, "bad_words")
        if not word.strip():
            raise InvalidRequest("A bad word cannot be empty.", param="bad_words")


def _check_prompt(wanted: Mapping[str, Any]) -> None:
    if wanted.get("truncate_prompt_tokens") == 0:
        raise InvalidRequest("truncate_prompt_tokens must be -1 or at least 1.", param="truncate_prompt_tokens")
    if "truncation_side" in wanted and "truncate_prompt_tokens" not in wanted:
        message = "truncation_side is only allowed with truncate_prompt_tokens."
        raise InvalidRequest(message, param="truncation_side")


def check_template(body: Templated, limits: Limits) -> None:
    """What a chat's template is told, within bounds. Raises InvalidRequest."""
    if body.continue_final_message and body.add_generation_prompt:
        message = "continue_final_message and add_generation_prompt exclude each other."
        raise InvalidRequest(message, param="continue_final_message")
    values = body.chat_template_kwargs
    if values and len(msgspec.json.encode(values)) > limits.template_bytes:
        message = f"chat_template_kwargs are larger than {limits.template_bytes} bytes."
        raise InvalidRequest(message, param="chat_template_kwargs")
