"""Pictures for models that cannot look: read by OCR, over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.backends.remote.serving import SERVER, model
from tests.conftest import servers
from tests.dialects.openai.local import ask
from tests.pictures import data_url, picture, saved
from tests.running import Running
from tests.scenes import paper, turned
from tests.upstream import Upstream, threaded

pytestmark = pytest.mark.engine
RECEIPT = data_url(saved(paper("receipt")))
LICENCE = data_url(saved(turned(paper("licence"), 90)))
ECHO = """
[models.reader]
backend = "echo"
vision = "ocr"
image_side = 1000
options = { modalities = [] }

[models.blind]
backend = "echo"
options = { modalities = [] }
"""


@pytest.fixture(scope="module")
def fake() -> Iterator[Upstream]:
    with threaded(models=("theirs",)) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(fake: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    remote = model("ours", {"url": fake.url}).replace("[models.ours]\n", '[models.ours]\nvision = "ocr"\n')
    with servers(tmp_path_factory.mktemp("looking")) as start:
        yield start(SERVER + ECHO + remote, timeout=120)


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with server.client() as opened:
        yield opened


def shown(*urls: str, text: str = "What is the total?") -> Any:
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    return [{"role": "user", "content": [{"type": "text", "text": text}, *pictures]}]


def test_the_total_of_a_receipt_and_the_name_on_a_licence(client: openai.OpenAI) -> None:
    bare = client.chat.completions.create(model="reader", messages=shown())
    answer = client.chat.completions.create(model="reader", messages=shown(RECEIPT, LICENCE))
    told = (answer.choices[0].message.content or "").splitlines()
    assert told[0].startswith("[Picture 1: 452x416 pixels, landscape. Colours: white 9")
    assert "> TOTAL  12.50" in told
    assert any(line.startswith("[Picture 2: 459x320 pixels, landscape, turned by 270 degrees") for line in told)
    assert "> Name  Maria Lindqvist" in told
    assert told[-1] == "What is the total?"
    assert bare.usage is not None
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > bare.usage.prompt_tokens + 40


def test_a_stream_is_the_same(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model="reader", messages=shown(RECEIPT), stream=True)
    assert "> TOTAL  12.50" in "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def test_an_upstream_gets_words(client: openai.OpenAI, fake: Upstream) -> None:
    fake.reset()
    client.chat.completions.create(model="ours", messages=shown(RECEIPT))
    client.chat.completions.create(model="ours", messages=shown(text="Hi"))
    first, second = (json.loads(seen.body) for seen in fake.seen().last if seen.path.endswith("completions"))
    assert "> TOTAL  12.50" in first["messages"][0]["content"]
    assert second["messages"][0]["content"] == [{"type": "text", "text": "Hi"}]


def test_models_say_that_it_is_ocr(client: openai.OpenAI) -> None:
    reader: Any = client.models.retrieve("reader")
    assert (reader.vision, reader.modalities) == ("ocr", ["text", "image"])
    blind: Any = client.models.retrieve("blind")
    assert not hasattr(blind, "vision")
    assert blind.modalities == ["text"]


def test_what_is_refused_all_the_same(server: Running) -> None:
    for name, url, code in (
        ("blind", RECEIPT, "unsupported_parameter"),
        ("reader", data_url(picture("JPEG", (300, 200))[:900]), "invalid_image"),
    ):
        body = json.dumps({"model": name, "messages": shown(url)}).encode()
        ask(server.port, "POST", "/v1/chat/completions", body).refusal(400, code, "messages.0.content.1")


def test_a_chat_to_tokenize_has_the_same_words(server: Running) -> None:
    body = json.dumps({"model": "reader", "messages": shown(RECEIPT)}).encode()
    found = ask(server.port, "POST", "/tokenize", body).json
    assert "> TOTAL  12.50" in bytes(found["tokens"]).decode()
