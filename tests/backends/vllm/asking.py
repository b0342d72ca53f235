"""Requests in few words."""

from __future__ import annotations

from typing import Any

from backends.requests import ChatRequest, CompletionRequest, Message, Sampling, Text


def says(text: str, **more: Any) -> ChatRequest:
    """A chat of one message; fields of Sampling and of ChatRequest by name."""
    own = {name: more.pop(name) for name in tuple(more) if name in ChatRequest.__struct_fields__}
    messages = own.pop("messages", (Message(role="user", parts=(Text(text),)),))
    sampling = Sampling(**{"temperature": 0.0, "max_tokens": 24, **more})
    return ChatRequest(model="m", messages=messages, sampling=sampling, **own)


def continues(*prompts: Any, **more: Any) -> CompletionRequest:
    """A completion; fields of Sampling and of CompletionRequest by name."""
    own = {name: more.pop(name) for name in tuple(more) if name in CompletionRequest.__struct_fields__}
    sampling = Sampling(**{"temperature": 0.0, "max_tokens": 8, **more})
    return CompletionRequest(model="m", prompts=prompts, sampling=sampling, **own)
