"""A whole server with a vLLM engine, for tests that do it no harm."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.backends.conftest import CHAT_ENGINE, ENVIRONMENT, VECTOR_ENGINE, checkpoint
from tests.conftest import servers
from tests.running import Running

LOADING = 540


def configuration(models: Mapping[str, tuple[str, Mapping[str, Any]]]) -> str:
    """TOML of models: name -> its checkpoint and its engine's fields."""
    text = "[server]\ngrace = 0.0\n"
    for name, (made, engine) in models.items():
        fields = "\n".join(f"{field} = {json.dumps(value)}" for field, value in engine.items())
        text += f'[models.{name}]\nbackend = "vllm"\nmodel = {json.dumps(checkpoint(made))}\n'
        text += f"[models.{name}.engine]\n{fields}\n"
    return text


@pytest.fixture(scope="session")
def vllm_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The model `small` for words and `vectors` for embeddings."""
    models = {"small": ("smollm2", CHAT_ENGINE), "vectors": ("minilm", VECTOR_ENGINE)}
    with servers(tmp_path_factory.mktemp("vllm_server")) as start:
        yield start(configuration(models), timeout=LOADING, **ENVIRONMENT)
