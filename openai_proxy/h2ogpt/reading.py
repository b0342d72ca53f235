"""h2oGPT's keys -> `Wish`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Struct

from backends import Model
from backends.errors import Unsupported
from openai_proxy.bodies.chat_body import ChatBody
from openai_proxy.bodies.completion import CompletionBody
from openai_proxy.decode import locate
from openai_proxy.errors import InvalidRequest
from openai_proxy.h2ogpt.conversation import Spoken, last_said
from openai_proxy.h2ogpt.keys import HONOURED, INSTRUCTION, RENAMED, SAMPLING, SHARED, TOLD, is_theirs
from openai_proxy.h2ogpt.over import Over, none_of
from openai_proxy.h2ogpt.truth import truth
from openai_proxy.h2ogpt.wish import Wish

T = TypeVar("T", bound=Struct)

HEADER = b"x-h2ogpt-ignored"
MAX_TOKENS = 256
MOST = ("max_tokens", "max_completion_tokens")
FIELDS = {
    "chat": frozenset(ChatBody.__struct_fields__) - SHARED,
    "completion": frozenset(CompletionBody.__struct_fields__) - SHARED,
}


def is_wish(given: Iterable[str]) -> bool:
    """Whether any of these keys is one that only h2oGPT's clients send."""
    return any(map(is_theirs, given))


def read(given: Mapping[str, Any], kind: Literal["chat", "completion"], model: Model, *, documents: bool) -> Wish:
    """What a request asks for.

    `given` holds OpenAI's fields and h2oGPT's side by side, as decoded: `messages` or `prompt` from an OpenAI client;
    `instruction_nochat` or `instruction`, with `iinput_nochat`, from a Gradio one (kind "chat"). `model` will answer:
    sampling options that it does not have are ignored, not refused. `documents` says whether this server keeps any:
    without, `langchain_mode` is ignored. `h2ogpt_key`, `user`, `stream_output` and `visible_models` are the caller's
    business, and passed over. Keys that nobody knows are ignored, too.

    Values are checked as far as they are translated; `edge.asking` checks the rest. Raises InvalidRequest or
    Unsupported (an action we have not, `use_agent` true), naming h2oGPT's key.
    """
    if truth(given.get("use_agent"), "use_agent"):
        raise Unsupported("There are no agents here: use_agent must be false.", param="use_agent")
    spoken, over = _typed(given, Spoken), _typed(given, Over)
    texts, collections, action = over.texts(), over.collections() if documents else (), over.action()
    over_some = action if texts or collections else None
    fields = {name: value for name, value in given.items() if name in FIELDS[kind] and value is not None}
    said = {name for name, value in given.items() if not none_of(value)}
    ignored = {name for name in said - fields.keys() - HONOURED if TOLD(name)}
    ignored |= over.idle(over_some, searched=bool(collections) and not texts, texts=bool(texts))
    names = _rename(fields, given)
    _shape(fields, given, names)
    if kind == "chat":
        fields["messages"] = spoken.messages(given.get("messages"))
        names |= spoken.names(fields["messages"])
        ignored |= said & INSTRUCTION if isinstance(given.get("messages"), list) else set()
    else:
        ignored |= said & set(Spoken.__struct_fields__)
    for name in SAMPLING & fields.keys() - model.parameters:
        del fields[name]
        ignored.add(names.get(name, name))
    if fields.keys().isdisjoint(MOST) and "max_tokens" in model.parameters:
        fields["max_tokens"] = MAX_TOKENS
    prompt = fields.get("prompt")
    return Wish(
        fields=fields,
        action=over_some,
        instruction=last_said(fields["messages"]) if kind == "chat" else prompt if isinstance(prompt, str) else "",
        texts=texts,
        collections=() if texts else collections,
        limit=over.top_k_docs if (over.top_k_docs or 0) > 0 else None,
        prompts=over.prompts(over_some),
        ignored=sorted(ignored),
        names=names,
    )


def _typed(given: Mapping[str, Any], kind: type[T]) -> T:
    mine = {name: given[name] for name in kind.__struct_fields__ if name in given}
    try:
        return msgspec.convert(mine, kind)
    except msgspec.ValidationError as error:
        raise locate(mine, kind) or InvalidRequest(str(error)) from None


def _rename(fields: dict[str, Any], given: Mapping[str, Any]) -> dict[str, str]:
    """Set the fields that h2oGPT has other names for; those names, by the fields."""
    names: dict[str, str] = {}
    for theirs, ours in RENAMED.items():
        if not none_of(given.get(theirs)):
            fields[ours] = given[theirs]
            names[ours] = theirs
            if ours == "max_tokens":
                fields.pop("max_completion_tokens", None)
    if truth(given.get("do_sample"), "do_sample") is False:
        fields["temperature"] = 0
        names["temperature"] = "do_sample"
    return names


def _shape(fields: dict[str, Any], given: Mapping[str, Any], names: dict[str, str]) -> None:
    """Set what the answer must look like: `response_format` may be a word alone, `guided_json` a text."""
    form = fields.pop("response_format", None)
    if isinstance(form, str):
        form = {"type": form}
    if isinstance(form, dict) and form.get("type") == "json_code":
        form = {"type": "json_object"}
    schema = given.get("guided_json")
    if not none_of(schema):
        fields["structured_outputs"] = {"json": _decoded(schema)}
        names["structured_outputs"] = names["structured_outputs.json"] = "guided_json"
        if isinstance(form, dict) and form.get("type") == "json_object":  # the schema says more
            form = None
    if not none_of(form):
        fields["response_format"] = form


def _decoded(schema: object) -> object:
    if not isinstance(schema, str):
        return schema
    try:
        return msgspec.json.decode(schema)
    except (msgspec.DecodeError, RecursionError) as error:
        raise InvalidRequest("guided_json is not JSON.", param="guided_json") from error
