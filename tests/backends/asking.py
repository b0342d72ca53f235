"""A small request of each kind."""

from __future__ import annotations

from typing import Any

from backends import Kind
from backends.requests import (
    Audio,
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    ImageRequest,
    Message,
    Request,
    Sampling,
    ScoreRequest,
    SpeechRequest,
    Text,
    TokenizeRequest,
    TranscriptionRequest,
)
from tests.sounds import tone


def ask(kind: Kind, text: str = "Count: one, two", **sampling: Any) -> Request:
    limits = Sampling(**{"max_tokens": 8, "temperature": 0.0, **sampling})
    match kind:
        case "chat":
            return ChatRequest(model="m", messages=(Message(role="user", parts=(Text(text),)),), sampling=limits)
        case "completion":
            return CompletionRequest(model="m", prompts=(text,), sampling=limits)
        case "embedding":
            return EmbeddingRequest(model="m", inputs=(text, "another"))
        case "score":
            return ScoreRequest(model="m", queries=(text,), documents=("another", text))
        case "tokenize":
            return TokenizeRequest(model="m", prompt=text)
        case "transcription":
            return TranscriptionRequest(model="m", audio=Audio(tone(1.0), "wav", 60.0))
        case "speech":
            return SpeechRequest(model="m", text=text)
        case "image":
            return ImageRequest(model="m", prompt=text)
