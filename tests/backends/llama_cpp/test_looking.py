"""A GGUF with a projector looks at pictures: the engine gets pixels that were decoded apart from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import openai
import pytest

from backends.llama_cpp.options import Options
from backends.weights import fetch
from tests.backends.llama_cpp import projector
from tests.backends.llama_cpp.conftest import CHAT, PLACES
from tests.conftest import servers
from tests.dialects.openai.local import ask
from tests.pictures import data_url, picture
from tests.running import Running

pytestmark = pytest.mark.engine
RED = data_url(picture("JPEG", (300, 200)), "JPEG")
CONFIG = """
[models.eyes]
backend = "llama_cpp"
options = { path = "PATH", mmproj = "PROJECTOR", context = 512 }

[models.blind]
backend = "llama_cpp"
load = "request"
options = { path = "PATH" }
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("eyes")
    home, wheels = (Path(PLACES[name]) if name in PLACES else None for name in ("home", "wheels"))
    path = fetch(CHAT, home, wheels, lambda *_: None)
    projector.make(folder / "projector.gguf", int(gguf.GGUFReader(path).fields["llama.embedding_length"].contents()))
    config = CONFIG.replace("PATH", str(path)).replace("PROJECTOR", str(folder / "projector.gguf"))
    with servers(folder) as start:
        yield start(config, timeout=120)


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with server.client() as opened:
        yield opened


def shown(*urls: str) -> Any:
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, *pictures]}]


def tokens(client: openai.OpenAI, *urls: str) -> int:
    """How many the prompt has."""
    answer = client.chat.completions.create(model="eyes", messages=shown(*urls), max_tokens=8, temperature=0)
    assert answer.choices[0].finish_reason in ("length", "stop")
    assert answer.usage is not None
    return answer.usage.prompt_tokens


def test_pictures_are_looked_at_and_counted(client: openai.OpenAI) -> None:
    none, one, two = tokens(client), tokens(client, RED), tokens(client, RED, data_url(picture()))
    assert one - none >= projector.TOKENS
    assert two - one == one - none


def test_a_stream_and_several_answers(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="eyes", messages=shown(RED), max_tokens=4, n=2, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert {choice.index for chunk in chunks for choice in chunk.choices} == {0, 1}
    assert chunks[-1].usage is not None


@pytest.mark.parametrize(
    ("model", "url", "code"),
    [
        ("eyes", data_url(picture("JPEG", (300, 200))[:900], "JPEG"), "invalid_image"),
        ("eyes", "data:image/png;base64,eA==", "invalid_image"),
        ("blind", RED, "unsupported_parameter"),
    ],
)
def test_what_is_refused_names_its_part(server: Running, model: str, url: str, code: str) -> None:
    body = json.dumps({"model": model, "messages": shown(RED, url) if model == "eyes" else shown(url)}).encode()
    param = "messages.0.content.2" if model == "eyes" else "messages.0.content.1"
    ask(server.port, "POST", "/v1/chat/completions", body).refusal(400, code, param)


def test_the_tokens_of_a_picture_cannot_be_told(server: Running) -> None:
    body = json.dumps({"model": "eyes", "messages": shown(RED)}).encode()
    ask(server.port, "POST", "/tokenize", body).refusal(400, "unsupported_parameter", "messages.0.content.1")


def test_models_say_what_they_take(client: openai.OpenAI) -> None:
    eyes: Any = client.models.retrieve("eyes")
    blind: Any = client.models.retrieve("blind")
    assert (eyes.modalities, blind.modalities) == (["text", "image"], ["text"])


def test_a_model_of_embeddings_does_not_look() -> None:
    with pytest.raises(ValueError, match="no use for the option 'mmproj'"):
        Options.read("m", {"path": "x.gguf", "embedding": True, "mmproj": "y.gguf"})
