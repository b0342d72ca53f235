"""What the echo model tells of texts: vectors, scores, tokens."""

from __future__ import annotations

import array
import hashlib
from collections.abc import Iterator

from backends.errors import Refused
from backends.events import Embedding, Event, Score, Tokens, Usage
from backends.requests import ChatRequest, DetokenizeRequest, EmbeddingRequest, Prompt, ScoreRequest, TokenizeRequest

DIMENSIONS = 16
START, STARTED = 256, "<s>"


def embeddings(request: EmbeddingRequest) -> Iterator[Event]:
    """The events of an embedding request."""
    inputs = [_cut(text, request.truncate_prompt_tokens) for text in request.inputs]
    for index, text in enumerate(inputs):
        yield Embedding(_vector(spoken(text), request.dimensions or DIMENSIONS), index)
    yield Usage(prompt=sum(length(text) for text in inputs))


def _cut(prompt: Prompt, keep: int | None) -> Prompt:
    if keep is None or keep < 0 or length(prompt) <= keep:
        return prompt
    return " ".join(prompt.split()[:keep]) if isinstance(prompt, str) else prompt[:keep]


def scores(request: ScoreRequest) -> Iterator[Event]:
    """The share of a query's words that its document has; what is cut off is the document's end."""
    read = 0
    for index, document in enumerate(request.documents):
        query = request.query(index).lower().split()
        words = document.lower().split()
        if request.truncate_prompt_tokens is not None and request.truncate_prompt_tokens >= 0:
            words = words[: max(0, request.truncate_prompt_tokens - len(query))]
        read += len(query) + len(words)
        yield Score(len(set(query) & set(words)) / max(1, len(set(query))), index)
    yield Usage(prompt=read)


def tokenized(request: TokenizeRequest) -> Tokens:
    """One byte is one token, and a special one may stand before all."""
    text = request.prompt if isinstance(request.prompt, str) else _written(request.prompt)
    ids = ([START] if request.special else []) + list(text.encode())
    return Tokens(tuple(ids), tuple(map(_shown, ids)) if request.strings else None)


def _written(chat: ChatRequest) -> str:
    """A chat as a template might write it."""
    lines = [f"tools: {', '.join(tool.name for tool in chat.tools)}"] if chat.tools else []
    lines += [f"{message.role}: {message.text}" for message in chat.messages]
    if chat.extra.get("continue_final_message"):
        return "\n".join(lines)
    return "\n".join([*lines, "assistant: " if chat.extra.get("add_generation_prompt", True) else ""])


def detokenized(request: DetokenizeRequest) -> Tokens:
    """The text of bytes. Raises Refused for what is none."""
    if any(not 0 <= token <= START for token in request.tokens):
        raise Refused(f"tokens: token ids go from 0 to {START}.", param="tokens")
    data = b"".join(bytes((token,)) if token < START else STARTED.encode() for token in request.tokens)
    return Tokens(request.tokens, text=data.decode(errors="replace"))


def _shown(token: int) -> str:
    return chr(token) if token < START else STARTED


def spoken(prompt: Prompt) -> str:
    """A prompt as words."""
    return prompt if isinstance(prompt, str) else " ".join(map(str, prompt))


def length(prompt: Prompt) -> int:
    """How many tokens a prompt has: one a word."""
    return len(prompt.split()) if isinstance(prompt, str) else len(prompt)


def _vector(text: str, dimensions: int) -> bytes:
    """A unit vector that depends on every character of the text."""
    digest = hashlib.shake_128(text.encode()).digest(dimensions)
    values = [byte - 127.5 for byte in digest]
    norm = sum(value * value for value in values) ** 0.5
    return array.array("f", (value / norm for value in values)).tobytes()
