"""What a model's options fill in where a request leaves it open."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_never

from msgspec import structs

from backends.llama_cpp.options import Options
from backends.requests import (
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
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


def filled(request: Request, options: Options) -> Request:
    """The request with the operator's system message and sampling, unless it brings its own."""
    match request:
        case ChatRequest():
            conversation = request.messages
            if options.system is not None and not any(message.role == "system" for message in conversation):
                conversation = (Message(role="system", parts=(Text(options.system),)), *conversation)
            return structs.replace(
                request,
                messages=conversation,
                sampling=_sampling(request.sampling, options),
                extra=_extra(request.extra, options),
            )
        case CompletionRequest():
            return structs.replace(
                request, sampling=_sampling(request.sampling, options), extra=_extra(request.extra, options)
            )
        case TokenizeRequest(prompt=ChatRequest() as chat):
            return structs.replace(request, prompt=filled(chat, options))
        case EmbeddingRequest() | ScoreRequest() | TokenizeRequest() | DetokenizeRequest():
            return request
        case TranscriptionRequest() | SpeechRequest() | ImageRequest():
            return request
        case _:
            assert_never(request)


def _sampling(sampling: Sampling, options: Options) -> Sampling:
    return structs.replace(
        sampling,
        temperature=options.temperature if sampling.temperature is None else sampling.temperature,
        top_p=options.top_p if sampling.top_p is None else sampling.top_p,
    )


def _extra(extra: Mapping[str, Any], options: Options) -> Mapping[str, Any]:
    if options.repetition_penalty is None:
        return extra
    return {"repetition_penalty": options.repetition_penalty, **extra}
