"""Which requests a model takes, by the words that a server's listing has for it.

Source: our own `kinds`; `type` of LM Studio (docs/rest/endpoints) and Together; `task` of Text Embeddings Inference and
Hugging Face's pipelines; `capabilities` of Infinity (a list) and Mistral (a table), and Ollama's words for them.
llama.cpp's `capabilities`, beside its `data`, are no help: it says "completion" of every model, embedders among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from backends import KINDS, Kind

ALL = frozenset(KINDS.values())
TEXT: frozenset[Kind] = frozenset({"chat", "completion", "tokenize"})
VECTORS: frozenset[Kind] = frozenset({"embedding", "tokenize"})
SCORES: frozenset[Kind] = frozenset({"score", "tokenize"})
HEARING: frozenset[Kind] = frozenset({"transcription"})
SPEAKING: frozenset[Kind] = frozenset({"speech"})
DRAWING: frozenset[Kind] = frozenset({"image"})

WORDS: Mapping[str, frozenset[Kind]] = {
    **dict.fromkeys(("llm", "vlm", "chat", "language", "code", "generate", "completion", "completions"), TEXT),
    **dict.fromkeys(("text-generation", "image-text-to-text", "completion_chat"), TEXT),
    **dict.fromkeys(("embed", "embedding", "embeddings", "feature-extraction", "sentence-similarity"), VECTORS),
    **dict.fromkeys(("rerank", "reranker", "score", "text-ranking"), SCORES),
    **dict.fromkeys(("transcription", "transcribe", "stt", "automatic-speech-recognition"), HEARING),
    **dict.fromkeys(("tts", "speech", "text-to-speech"), SPEAKING),
    **dict.fromkeys(("image", "text-to-image", "image-generation"), DRAWING),
}


def kinds_of(kinds: Any, *told: Any) -> frozenset[Kind] | None:
    """The kinds that another server of ours lists, or that the words in `told` mean; None if nothing is known."""
    ours = ALL.intersection(each for each in kinds if isinstance(each, str)) if isinstance(kinds, list) else None
    if ours:
        return ours
    meant = [WORDS[word] for each in told for word in _words(each) if word in WORDS]
    return frozenset().union(*meant) if meant else None


def _words(told: Any) -> Iterator[str]:
    """A word, words, or the names in a table that are true."""
    if isinstance(told, str):
        yield told.lower()
    elif isinstance(told, list):
        yield from (each.lower() for each in told if isinstance(each, str))
    elif isinstance(told, dict):
        yield from (name.lower() for name, value in told.items() if value is True)
