"""AIME's API with the embedded models."""

from __future__ import annotations

import base64

import pytest

from tests.dialects.aime.calling import Aime
from tests.running import Running

pytestmark = pytest.mark.engine


def test_the_small_model_knows_paris(embedded_server: Running) -> None:
    client = Aime(embedded_server, "smollm2-135m-instruct")
    client.login()
    asked = {"prompt_input": "What is the capital of France?", "max_gen_tokens": 20, "top_k": 1}
    waited = client.ask(**asked)
    assert "Paris" in waited["text"]
    assert (waited["max_seq_len"], waited["num_generated_tokens"]) == (2048, 20)
    answers = client.poll(client.begin(**asked))
    assert "Paris" in answers[-1]["job_result"]["text"]
    assert (
        client.ask(prompt="Count.", max_gen_tokens=8, seed=3)["text"]
        == client.ask(prompt="Count.", max_gen_tokens=8, seed=3)["text"]
    )


def test_texts_are_embedded(embedded_server: Running) -> None:
    found = Aime(embedded_server, "all-minilm-l6-v2").ask(text=["a cat", "a kitten"])
    assert [len(vector) for vector in found["embeddings"]] == [384, 384]


def test_what_is_said_is_written_down(embedded_server: Running) -> None:
    said = Aime(embedded_server, "hibari").ask(text="The quick brown fox jumps over the lazy dog.", language="eng")
    assert base64.b64decode(said["audio_output"].partition(",")[2])[:4] == b"RIFF"
    heard = Aime(embedded_server, "whisper-base").ask(audio=said["audio_output"], language="eng")
    assert "brown fox" in heard["text"]


def test_pictures_are_drawn_while_somebody_looks_on(embedded_server: Running) -> None:
    client = Aime(embedded_server, "emoji")
    answers = client.poll(client.begin(prompt="a red apple", num_samples=2, seed=4), within=60)
    result = answers[-1]["job_result"]
    assert [image.partition(",")[0] for image in result["images"]] == ["data:image/JPEG;base64"] * 2
    assert result["seed"] == 4
    numbers = [answer["progress"]["progress"] for answer in answers]
    assert numbers == sorted(numbers)
    assert len(set(numbers)) > 2
    assert client.ask(prompt="a red apple", num_samples=2, seed=4)["images"] == result["images"]
