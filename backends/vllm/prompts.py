"""Messages and prompts -> what the engine reads, by vLLM's renderer. What is too long is refused with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from backends import Model
from backends.choices.tools import function
from backends.errors import ContextExceeded, Refused
from backends.requests import ChatRequest, Prompt, Tokens, Tool
from backends.vllm.loaded import Loaded, Template
from backends.vllm.trouble import translated

# A rendered prompt, as vLLM's `generate` and `encode` take it.
Rendered: TypeAlias = Mapping[str, Any]


async def chat(
    loaded: Loaded, messages: Sequence[Mapping[str, Any]], values: Mapping[str, Any], *, special: bool = False
) -> Rendered:
    """The conversation through the chat template, which sees `values`. `special`: the tokenizer adds its own tokens to
    those of the template. Raises Refused.
    """
    template = loaded.template or Template()
    chosen = loaded.library.ChatParams(
        chat_template=template.text,
        chat_template_content_format="auto",
        chat_template_kwargs={"add_generation_prompt": True, "tokenize": False, **values},
    )
    tokens = loaded.library.TokenizeParams(max_total_tokens=None, add_special_tokens=special)
    with translated(loaded.library, "messages"):
        try:
            rendered: Rendered
            _, (rendered,) = await loaded.client.renderer.render_chat_async([list(messages)], chosen, tokens)
        except ValueError as error:
            raise Refused("The model's chat template does not take this conversation.", param="messages") from error
    return rendered


async def prompt(loaded: Loaded, given: Prompt, param: str, *, room: bool = True, keep: int | None = None) -> Rendered:
    """A text or token ids, cut to `keep` tokens if that is a number. `room`: at least one token must be left for an
    answer. Raises ContextExceeded.
    """
    wanted = {"prompt": given} if isinstance(given, str) else {"prompt_token_ids": list(given)}
    tokens = loaded.library.TokenizeParams(max_total_tokens=None, truncate_prompt_tokens=keep)
    with translated(loaded.library, param):
        rendered: Rendered
        (rendered,) = await loaded.client.renderer.render_cmpl_async([wanted], tokens)
    check_fits(rendered, loaded, param, room=room)
    return rendered


async def tokenized(loaded: Loaded, text: str, *, special: bool) -> Rendered:
    """A text of any length."""
    tokens = loaded.library.TokenizeParams(max_total_tokens=None, add_special_tokens=special)
    with translated(loaded.library, "prompt"):
        rendered: Rendered
        (rendered,) = await loaded.client.renderer.render_cmpl_async([{"prompt": text}], tokens)
    return rendered


async def text_of(loaded: Loaded, tokens: Tokens) -> str:
    """The text of tokens, special ones too."""
    wanted = loaded.library.TokenizeParams(max_total_tokens=None, needs_detokenization=True)
    with translated(loaded.library, "tokens"):
        made = await loaded.client.renderer.tokenize_prompt_async({"prompt_token_ids": list(tokens)}, wanted)
    return str(made["prompt"])


def template_values(request: ChatRequest, template: Template, tools: Sequence[Tool]) -> dict[str, Any]:
    """What the template is told beside the messages."""
    values: dict[str, Any] = dict(request.extra.get("chat_template_kwargs", ()))
    if request.extra.get("continue_final_message"):
        values |= {"add_generation_prompt": False, "continue_final_message": True}
    elif "add_generation_prompt" in request.extra:
        values["add_generation_prompt"] = request.extra["add_generation_prompt"]
    if tools:
        values["tools"] = [function(tool) for tool in tools]
    effort = request.reasoning_effort
    if effort is not None and template.effort:
        values.setdefault("reasoning_effort", effort)
    if effort is not None and template.thinking:
        values.setdefault("enable_thinking", effort not in ("none", "minimal"))
    return values


def length(rendered: Rendered) -> int:
    """Tokens of a rendered prompt."""
    return len(rendered["prompt_token_ids"])


def check_fits(rendered: Rendered, loaded: Loaded, param: str, *, room: bool = True) -> None:
    """Raises ContextExceeded with the numbers. `room`: at least one token must be left for an answer."""
    found = length(rendered)
    if found == 0:
        raise Refused("A prompt must not be empty.", param=param)
    if found > loaded.context - room:
        limit = f"The model takes at most {loaded.context} tokens, prompt and answer together"
        raise ContextExceeded(f"{limit}; {param} has {found}.", param=param)


def model_of(loaded: Loaded) -> Model:
    """The sizes, for checks that come before tokens are counted."""
    return Model(kinds=loaded.kinds, context=loaded.context, vocabulary=loaded.vocabulary, dimensions=loaded.dimensions)
