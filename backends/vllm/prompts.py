"""Messages and prompts -> what the engine reads, by vLLM's renderer. What is too long is refused with its numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from backends import Model
from backends.choices.tools import function
from backends.errors import BackendError, ContextExceeded, Refused
from backends.requests import ChatRequest, Prompt, Sampling, Tokens, Tool
from backends.vllm.loaded import Loaded, Template
from backends.vllm.trouble import translated

# A rendered prompt, as vLLM's `generate` and `encode` take it.
Rendered: TypeAlias = Mapping[str, Any]


class Cut(Struct, frozen=True):
    """What else a request wants of its prompt.

    `tokens` is how many are kept of its end, or of its beginning (`right` is where it is cut); -1 leaves room for an
    `answer` of that many. `special`: the tokenizer adds its special tokens; `salt` keeps its cache apart.
    """

    tokens: int | None = None
    right: bool = False
    answer: int = 0
    special: bool | None = None
    salt: str | None = None

    @classmethod
    def of(cls, extra: Mapping[str, Any], sampling: Sampling) -> Cut:
        """By the options of a request."""
        if extra.keys().isdisjoint(CUTTING):
            return WHOLE
        return cls(
            tokens=extra.get("truncate_prompt_tokens"),
            right=extra.get("truncation_side") == "right",
            answer=sampling.max_tokens or 0,
            special=extra.get("add_special_tokens"),
            salt=extra.get("cache_salt"),
        )


# The field with the client's own values for the template.
TOLD = "chat_template_kwargs"
CUTTING = frozenset({"truncate_prompt_tokens", "add_special_tokens", "cache_salt"})
WHOLE = Cut()
# Times the context that a prompt to be cut may be long: all of it has to be read to find where to cut.
LONGER = 16


async def chat(
    loaded: Loaded,
    messages: Sequence[Mapping[str, Any]],
    values: Mapping[str, Any],
    cut: Cut = WHOLE,
    *,
    param: str = "messages",
) -> Rendered:
    """The conversation through the chat template, which sees `values`. Raises Refused, naming `param`."""
    template = loaded.template or Template()
    chosen = loaded.library.ChatParams(
        chat_template=template.text,
        chat_template_content_format="auto",
        chat_template_kwargs={"add_generation_prompt": True, "tokenize": False, **values},
    )
    tokens = loaded.library.TokenizeParams(max_total_tokens=None, add_special_tokens=cut.special or False)
    try:
        with translated(loaded.library, param):
            rendered: Rendered
            _, (rendered,) = await loaded.client.renderer.render_chat_async([list(messages)], chosen, tokens)
    except BackendError:
        raise
    except Exception as error:
        # A template may stumble in any way over values that are not ours.
        if not isinstance(error, ValueError) and param != TOLD:
            raise
        raise Refused(f"The model's chat template does not take these {param}.", param=param) from error
    return _cut(rendered, cut, loaded)


async def prompt(
    loaded: Loaded, given: Prompt, param: str, cut: Cut = WHOLE, *, room: bool = True, keep: int | None = None
) -> Rendered:
    """A text or token ids, of which the tokenizer keeps `keep` tokens if that is a number. `room`: at least one token
    must be left for an answer. Raises ContextExceeded.
    """
    special = {} if cut.special is None else {"add_special_tokens": cut.special}
    made = _cut(await _rendered(loaded, given, param, truncate_prompt_tokens=keep, **special), cut, loaded)
    check_fits(made, loaded, param, room=room)
    return made


async def tokenized(loaded: Loaded, text: str, *, special: bool) -> Rendered:
    """A text of any length."""
    return await _rendered(loaded, text, "prompt", add_special_tokens=special)


async def _rendered(loaded: Loaded, given: Prompt, param: str, **options: Any) -> Rendered:
    wanted = {"prompt": given} if isinstance(given, str) else {"prompt_token_ids": list(given)}
    tokens = loaded.library.TokenizeParams(max_total_tokens=None, **options)
    with translated(loaded.library, param):
        rendered: Rendered
        (rendered,) = await loaded.client.renderer.render_cmpl_async([wanted], tokens)
    return rendered


async def text_of(loaded: Loaded, tokens: Tokens) -> str:
    """The text of tokens, special ones too."""
    wanted = loaded.library.TokenizeParams(max_total_tokens=None, needs_detokenization=True)
    with translated(loaded.library, "tokens"):
        made = await loaded.client.renderer.tokenize_prompt_async({"prompt_token_ids": list(tokens)}, wanted)
    return str(made["prompt"])


def _cut(rendered: Rendered, cut: Cut, loaded: Loaded) -> Rendered:
    """What is left of a prompt. Raises Refused where the tokens stand for more than text."""
    if cut is WHOLE:
        return rendered
    changed = dict(rendered)
    if cut.salt is not None:
        changed["cache_salt"] = cut.salt
    if cut.tokens is None:
        return changed
    if rendered.get("type", "token") != "token":
        raise Refused("Only a prompt of text can be truncated.", param="truncate_prompt_tokens")
    most = cut.tokens if cut.tokens > 0 else max(1, loaded.context - max(1, cut.answer))
    ids = rendered["prompt_token_ids"]
    changed["prompt_token_ids"] = ids[:most] if cut.right else ids[-most:]
    return changed


def template_values(request: ChatRequest, template: Template, tools: Sequence[Tool]) -> dict[str, Any]:
    """What the template is told beside the messages. Raises Refused for a value that is not the client's to set."""
    values: dict[str, Any] = {}
    if request.extra:
        values = _wanted(request.extra, template)
    if tools:
        values["tools"] = [function(tool) for tool in tools]
    effort = request.reasoning_effort
    if effort is not None:
        if template.effort:
            values.setdefault("reasoning_effort", effort)
        for name in template.switches:
            values.setdefault(name, effort not in ("none", "minimal"))
    return values


def _wanted(extra: Mapping[str, Any], template: Template) -> dict[str, Any]:
    """The client's own values for the template, and how the last message ends."""
    values = dict(extra.get(TOLD, ()))
    _check_names(values, template)
    documents = values.get("documents")
    if documents is not None and not (isinstance(documents, list) and all(isinstance(one, dict) for one in documents)):
        param = f"{TOLD}.documents"
        raise Refused(f"{param} must be a list of objects.", param=param)
    if extra.get("continue_final_message"):
        values |= {"add_generation_prompt": False, "continue_final_message": True}
    elif "add_generation_prompt" in extra:
        values["add_generation_prompt"] = extra["add_generation_prompt"]
    return values


def _check_names(values: Mapping[str, Any], template: Template) -> None:
    """Raises Refused for a name that is no variable of a template's, or one that we or vLLM give it."""
    for name in values:
        if name in template.reserved:
            raise Refused(f"{TOLD}.{name} is not for the template to be told.", param=f"{TOLD}.{name}")
        if not name.isidentifier() or name.startswith("_"):
            raise Refused(f"{TOLD}: {name[:40]!r} is not for the template to be told.", param=TOLD)


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


def model_of(loaded: Loaded, cut: Cut = WHOLE) -> Model:
    """The sizes, for checks that come before tokens are counted: what is cut may be longer, but not without end."""
    context = loaded.context if cut.tokens is None else loaded.context * LONGER
    return Model(kinds=loaded.kinds, context=context, vocabulary=loaded.vocabulary, dimensions=loaded.dimensions)
