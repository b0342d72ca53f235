"""The body of a chat -> ChatRequest."""

from __future__ import annotations

from backends import Model
from backends.errors import Unsupported
from backends.requests import ChatRequest, Form
from openai_proxy.bodies.chat_body import REFUSED, TOOLS, ChatBody
from openai_proxy.bodies.checks import able
from openai_proxy.bodies.constraints import constraint
from openai_proxy.bodies.inlining import mended
from openai_proxy.bodies.messages import messages
from openai_proxy.bodies.options import options
from openai_proxy.bodies.sampling import sampling
from openai_proxy.bodies.tools import tools
from openai_proxy.config import Limits
from openai_proxy.decode import Given
from openai_proxy.errors import InvalidRequest


def chat_request(body: ChatBody, fields: Given, name: str, model: Model, limits: Limits) -> ChatRequest:
    """The body as the engine is asked. Raises InvalidRequest, Unsupported and their kin, each naming the field."""
    for name in fields.keys() & REFUSED.keys():
        raise Unsupported(REFUSED[name], param=name)
    if body.modalities is not None and body.modalities != ["text"]:
        raise Unsupported("This server answers a chat with text only.", param="modalities")
    given, choice = ((), "none") if fields.keys().isdisjoint(TOOLS) else tools(body, model, limits)
    if body.reasoning_effort is not None:
        able(model, "reasoning_effort")
    wanted = constraint(body, fields, model, limits)
    if wanted is not None and choice not in ("none", "auto"):
        raise InvalidRequest("tool_choice that forces a call excludes a response format.", param="tool_choice")
    return ChatRequest(
        model=name,
        messages=messages(body.messages, model, limits),
        sampling=sampling(
            body, fields, model, limits, constraint=wanted, logprobs=_alternatives(body), max_tokens=_most_tokens(body)
        ),
        tools=given,
        tool_choice=choice,
        parallel_tool_calls=body.parallel_tool_calls,
        reasoning_effort=body.reasoning_effort,
        extra=options(body, fields, model, limits),
        form=_form(body, fields, model),
        seconds=body.max_time,
    )


def _form(body: ChatBody, fields: Given, model: Model) -> Form | None:
    if not model.relays or body.include_reasoning is False:  # what the model thinks is taken out here
        return None
    if body.max_time is not None:  # no other server knows it
        return None
    return mended(Form(fields, bool(body.stream), fields.body), body.messages)


def _alternatives(body: ChatBody) -> int | None:
    if body.top_logprobs is not None and not body.logprobs:
        raise InvalidRequest("top_logprobs is only allowed when logprobs is true.", param="top_logprobs")
    return (body.top_logprobs or 0) if body.logprobs else None


def _most_tokens(body: ChatBody) -> int | None:
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise InvalidRequest("max_tokens and max_completion_tokens cannot both be set.", param="max_completion_tokens")
    return body.max_completion_tokens or body.max_tokens
