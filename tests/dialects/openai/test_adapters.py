"""Adapters of a model: each is a model to clients, and the engine is asked for it by its name."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from backends import Model, Setup, State
from backends.events import Delta, Embedding, Event, Finish, Usage
from backends.requests import EmbeddingRequest, Request
from openai_proxy.config import ModelConfig
from tests.dialects.openai.local import CHAT, Local, chat

NAMES = ["base", "parrot", "poet", "org/pirate"]


class Namer:
    """Says which model or adapter it was asked for."""

    model = Model(kinds=frozenset({"chat", "completion", "embedding"}), parameters=frozenset({"max_tokens"}))
    slots = 4

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.state = State("ready")

    async def start(self) -> None:
        return

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        if isinstance(request, EmbeddingRequest):
            yield Embedding(bytes(4 * len(request.model)))
        else:
            yield Delta(f"{request.model}={self.setup.adapters.get(request.model)}")
            yield Finish("stop")
        yield Usage(1, 1)

    async def close(self) -> None:
        return


@pytest.fixture
def local() -> Any:
    config = ModelConfig(
        backend="tests.dialects.openai.test_adapters:Namer",
        aliases=("parrot",),
        adapters={"poet": "/poet", "org/pirate": "/pirate"},
    )
    with Local(models={"base": config}, default_model="base") as local:
        yield local


def test_every_name_is_listed_under_its_model(local: Local) -> None:
    entries = local.send("GET", "/v1/models").json["data"]
    assert [entry["id"] for entry in entries] == NAMES
    assert {entry["root"] for entry in entries} == {"base"}
    assert local.send("GET", "/v1/models/org/pirate").json["id"] == "org/pirate"


@pytest.mark.parametrize(
    ("asked", "name", "said"),
    [
        ("poet", "poet", "poet=/poet"),
        ("org/pirate", "org/pirate", "org/pirate=/pirate"),
        ("parrot", "base", "base=None"),
        (None, "base", "base=None"),
    ],
)
def test_the_engine_is_asked_for_the_adapter(local: Local, asked: str | None, name: str, said: str) -> None:
    answer = local.post(CHAT, chat(model=asked)).json
    assert (answer["model"], answer["choices"][0]["message"]["content"]) == (name, said)
    completed = local.post("/v1/completions", {"model": asked, "prompt": "x"}).json
    assert (completed["model"], completed["choices"][0]["text"]) == (name, said)
    embedded = local.post("/v1/embeddings", {"model": asked, "input": "x"}).json
    assert (embedded["model"], len(embedded["data"][0]["embedding"])) == (name, len(name))


def test_a_stream_has_the_adapters_name(local: Local) -> None:
    answer = local.post(CHAT, chat(model="poet", stream=True))
    assert answer.body.count(b'"model":"poet"') >= 3
    assert b'"model":"base"' not in answer.body


def test_the_metrics_count_it_for_its_model(local: Local) -> None:
    local.post(CHAT, chat(model="poet"))
    assert b'openai_proxy_requests_total{model="base",outcome="ok"} 1.0' in local.app.edge.metrics.render()
