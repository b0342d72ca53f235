"""What listings say of the requests that a model takes."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from backends.remote.abilities import SCORES, SPEAKING, TEXT, VECTORS, kinds_of
from backends.remote.listing import Listed, kinds_at, lacking, read_listing
from tests.backends.remote.test_discovery import BOX, SAID, SERVER, listed
from tests.conftest import Serve
from tests.upstream import threaded


@pytest.mark.parametrize(
    ("entry", "kinds"),
    [
        ({}, None),
        ({"type": "model"}, None),
        ({"type": "llm"}, TEXT),
        ({"type": "embeddings"}, VECTORS),
        ({"type": "Embedding"}, VECTORS),
        ({"task": "generate"}, TEXT),
        ({"task": "feature-extraction"}, VECTORS),
        ({"capabilities": ["embed", "rerank"]}, VECTORS | SCORES),
        ({"capabilities": ["completion", "tools", "vision"]}, TEXT),
        ({"capabilities": {"completion_chat": True, "classification": False}}, TEXT),
        ({"capabilities": {"completion_chat": False}}, None),
        ({"type": "tts"}, SPEAKING),
        ({"kinds": ["embedding"], "type": "llm"}, frozenset({"embedding"})),
        ({"kinds": ["chat", "something new"]}, frozenset({"chat"})),
        ({"kinds": []}, None),
        ({"kinds": 5, "type": 5, "task": [5], "capabilities": 5.5}, None),
    ],
)
def test_words_of_many_servers(entry: dict[str, Any], kinds: frozenset[str] | None) -> None:
    told = [entry.get(field) for field in ("kinds", "type", "task", "capabilities")]
    assert kinds_of(*told) == kinds


def test_servers_that_differ_are_taken_together() -> None:
    one = read_listing(b'{"data": [{"id": "m", "type": "llm"}]}')
    other = read_listing(b'{"data": [{"id": "m", "type": "embeddings"}, {"id": "n"}]}')
    assert one is not None
    assert other is not None
    assert kinds_at("m", [one, other]) == TEXT | VECTORS
    assert kinds_at("n", [one, other]) is None


def test_what_is_lacking_anywhere_is_lacking() -> None:
    entries = [Listed("a", lacks=["top_k", 5]), Listed("a", lacks="seed"), None, Listed("a", lacks=["min_p"])]
    assert lacking(entries) == {"top_k", "min_p"}


def test_a_model_takes_what_its_listing_says(serve: Serve) -> None:
    entries = [
        {"id": "plain"},
        {"id": "vectors", "type": "embeddings"},
        {"id": "talk", "capabilities": ["completion"]},
        {"id": "ranks", "task": "rerank"},
    ]
    with threaded(models=("*",)) as fake:
        fake.script(listed=entries)
        options = 'models = "*", kinds = ["chat", "completion", "embedding", "tokenize"]'
        server = serve(SERVER + BOX.format(a=fake.url, b=fake.url + "/x", options=options))
        kinds = {name: each["kinds"] for name, each in listed(server).items()}
        assert kinds == {
            "plain": ["chat", "completion", "embedding", "tokenize"],
            "vectors": ["embedding", "tokenize"],
            "talk": ["chat", "completion", "tokenize"],
        }
        with server.client() as client:
            assert client.embeddings.create(model="vectors", input="a", encoding_format="float").data
            with pytest.raises(openai.BadRequestError, match="vectors does not take chat requests"):
                client.chat.completions.create(model="vectors", messages=SAID)
            with pytest.raises(openai.BadRequestError, match="talk does not take embedding requests"):
                client.embeddings.create(model="talk", input="a")
            with pytest.raises(openai.NotFoundError):
                client.chat.completions.create(model="ranks", messages=SAID)
            assert client.chat.completions.create(model="plain", messages=SAID).choices
