"""The embedded models as a node's: chat, streams, vectors, speech and what is heard of it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.dialects.infernet.calls import ended, output
from tests.dialects.infernet.test_streams import whole
from tests.running import Running

pytestmark = pytest.mark.engine
CAPITAL: dict[str, Any] = {
    "model": "gpt-4o-mini",
    "params": {
        "endpoint": "completion",
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": 20,
        "temperature": 0,
    },
}


def test_chat_and_stream(embedded_server: Running) -> None:
    said = output(embedded_server, **CAPITAL)
    assert "Paris" in said
    id, seen, clean = whole(embedded_server, **CAPITAL)
    assert clean
    assert seen.decode() == said
    assert ended(embedded_server, id)["result"]["output"] == {"output": said}


def test_vectors(embedded_server: Running) -> None:
    params = {"endpoint": "embeddings", "input": "Machine learning (ML) is a subset of artificial intelligence."}
    vector = output(embedded_server, model="text-embedding-3-small", params=params)
    assert len(vector) == 384
    assert abs(sum(number * number for number in vector) - 1) < 1e-3


def test_speech_and_its_words(embedded_server: Running) -> None:
    params = {"endpoint": "speech", "input": "The quick brown fox jumps over the lazy dog."}
    spoken = output(embedded_server, model="tts-1", params=params)
    heard = output(embedded_server, model="whisper-1", params={"endpoint": "transcription", "file": spoken["audio"]})
    assert "quick brown fox" in heard["text"]
