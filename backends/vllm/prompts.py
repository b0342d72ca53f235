"""Messages and prompts -> what the engine reads, by vLLM's renderer. What is too long is refused with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from backends import Model
from backends.choices.tools import function
from backends.errors import ContextExceeded, Refused
from backends.requests import ChatRequest, Prompt, Tool
from backends.vllm.loaded import Loaded, Template
from backends.vllm.trouble import translated

# A rendered prompt, as vLLM's `generate` and `encode` take it.
Rendered: TypeAlias = Mapping[str, Any]


async def chat(loaded: Loaded, messages: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> Rendered:
    """The conversation through the chat template, which sees `values`. Raises Refused or ContextExceeded."""
    template = loaded.template or Template()
    chosen = loaded.library.ChatParams(
        chat_template=template.text,
        chat_template_content_format="auto",
        chat_template_kwargs={"add_generation_prompt": True, "tokenize": False, **values},
    )
    tokens = loaded.library.TokenizeParams(max_total_tokens=None, add_special_tokens=False)
    with translated(loaded.library, "messages"):
        try:
            _, (rendered,) = await loaded.client.renderer.render_chat_async([list(messages)], chosen, tokens)
        except ValueError as error:
            raise Refused("The model's chat template does not take this conversation.", param="messages") from error
    return _fitting(rendered, loaded, "messages")


async def prompt(loaded: Loaded, given: Prompt, param: str, *, room: bool = True) -> Rendered:
    """A text or token ids. `room`: at least one token must be left for an answer. Raises ContextExceeded."""
    wanted = {"prompt": given} if isinstance(given, str) else {"prompt_token_ids": list(given)}
    tokens = loaded.library.TokenizeParams(max_total_tokens=None)
    with translated(loaded.library, param):
        (rendered,) = await loaded.client.renderer.render_cmpl_async([wanted], tokens)
    return _fitting(rendered, loaded, param, room=room)


def template_values(request: ChatRequest, template: Template, tools: Sequence[Tool]) -> dict[str, Any]:
    """What the template is told beside the messages."""
    values: dict[str, Any] = {}
    if tools:
        values["tools"] = [function(tool) for tool in tools]
    effort = request.reasoning_effort
    if effort is not None and template.effort:
        values["reasoning_effort"] = effort
    if effort is not None and template.thinking:
        values["enable_thinking"] = effort not in ("none", "minimal")
    return values


def length(rendered: Rendered) -> int:
    """Tokens of a rendered prompt."""
    return len(rendered["prompt_token_ids"])


def _fitting(rendered: Rendered, loaded: Loaded, param: str, *, room: bool = True) -> Rendered:
    found = length(rendered)
    if found == 0:
        raise Refused("A prompt must not be empty.", param=param)
    if found > loaded.context - room:
        limit = f"The model takes at most {loaded.context} tokens, prompt and answer together"
        raise ContextExceeded(f"{limit}; {param} has {found}.", param=param)
    return rendered


def model_of(loaded: Loaded) -> Model:
    """The sizes, for checks that come before tokens are counted."""
    return Model(kinds=loaded.kinds, context=loaded.context, vocabulary=loaded.vocabulary, dimensions=loaded.dimensions)
