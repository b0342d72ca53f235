"""Speech with the embedded voice, as a client of OpenAI's asks for it."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

import audio
from openai_proxy import default
from tests.conftest import servers
from tests.dialects.openai.speaking import heard
from tests.running import Running

pytestmark = pytest.mark.engine
TEXT = "The quick brown fox jumps over the lazy dog. Then it slept."
CONFIG = "[models.hibari]" + default.TEXT.partition("[models.hibari]")[2].partition("[models.emoji]")[0]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with servers(tmp_path_factory.mktemp("voice")) as start:
        yield start(CONFIG, timeout=120)


@pytest.mark.parametrize("model", ["tts-1", "tts-1-hd", "gpt-4o-mini-tts", "hibari"])
def test_openais_models_and_voices(server: Running, model: str) -> None:
    with server.client() as client:
        answer = client.audio.speech.create(model=model, voice="nova", input=TEXT)
    assert 3 < heard(answer.read(), "mp3").seconds < 9


@pytest.mark.parametrize("format", sorted(audio.SPOKEN))
def test_every_format_plays(server: Running, format: str) -> None:
    with server.client() as client:
        answer = client.audio.speech.create(model="tts-1", voice="heart", input=TEXT, response_format=format)  # type: ignore[arg-type]
        plain = client.audio.speech.create(model="tts-1", voice="heart", input=TEXT, response_format="pcm").read()
    assert heard(answer.read(), format).seconds == pytest.approx(len(plain) / 48_000, rel=0.02)


@pytest.mark.parametrize("speed", [0.25, 2.0, 4.0])
def test_speed(server: Running, speed: float) -> None:
    with server.client() as client:
        plain = client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT, response_format="pcm").read()
        other = client.audio.speech.create(
            model="tts-1", voice="alloy", input=TEXT, response_format="pcm", speed=speed
        ).read()
    assert len(other) * speed == pytest.approx(len(plain), rel=0.15)


@pytest.mark.parametrize("text", ["你好世界", "Привет"])
@pytest.mark.parametrize("stream_format", ["audio", "sse"])
def test_what_it_cannot_read_is_refused(server: Running, text: str, stream_format: str) -> None:
    with server.client() as client, pytest.raises(openai.BadRequestError) as refused:
        client.audio.speech.create(model="tts-1", voice="alloy", input=text, stream_format=stream_format)  # type: ignore[arg-type]
    assert refused.value.param == "input"


def test_a_client_that_leaves_early_and_the_list_of_voices(server: Running) -> None:
    """Much text, of which only the first bytes are read: there is room for the next at once."""
    with server.client() as client:
        for _ in range(10):
            with client.audio.speech.with_streaming_response.create(
                model="tts-1", voice="alloy", input=TEXT * 60, response_format="pcm"
            ) as answer:
                assert next(answer.iter_bytes(1024))
        assert client.audio.speech.create(model="tts-1", voice="alloy", input=TEXT).read()
        listed = client.get("/audio/voices", cast_to=object)
    assert isinstance(listed, dict)
    assert listed["voices"] == ["heart"]
