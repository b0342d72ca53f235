"""The options of h2oGPT's clients for `POST /v1/audio/speech`: their defaults, their voices, their pieces."""

from __future__ import annotations

import struct
from typing import Any

import pytest

import audio
from openai_proxy.config import ModelConfig
from tests.dialects.openai.local import Answer, Local
from tests.dialects.openai.raw import pieces
from tests.dialects.openai.speaking import SPEECH, heard, samples, speech
from tests.running import Running

SECONDS = 12 * 0.06 + 3 * 0.05
TRUE, FALSE = (True, "true", "True"), (False, "false", "False")


def said(local: Local, **fields: Any) -> Answer:
    answer = local.post(SPEECH, speech(**fields))
    assert answer.status == 200, answer.body
    return answer


@pytest.mark.parametrize(
    "fields",
    [{"stream": False}, {"stream_strip": True}, {"speaker": "low"}, {"chatbot_role": "low"}, {"format": "wav"}],
)
def test_each_of_its_fields_makes_a_whole_wav_the_default(local: Local, fields: dict[str, Any]) -> None:
    answer = said(local, **fields)
    assert answer.headers["content-type"] == "audio/wav"
    assert int(answer.headers["content-length"]) == len(answer.body)
    rate, pcm = samples(answer.body)
    assert len(pcm) / 2 / rate == pytest.approx(SECONDS, abs=0.03)


def test_format_is_another_name_of_response_format(local: Local) -> None:
    assert said(local, format="flac").headers["content-type"] == "audio/flac"
    assert said(local, format="flac", response_format="mp3").headers["content-type"] == "audio/mpeg"
    assert audio.sniff(said(local, format="flac").body) == "flac"


def test_fields_that_are_null_are_not_there(local: Local) -> None:
    fields = dict.fromkeys(("stream", "stream_strip", "speaker", "chatbot_role", "format"))
    assert said(local, **fields).headers["content-type"] == "audio/mpeg"


@pytest.mark.parametrize("stream", FALSE)
def test_a_whole_file(local: Local, stream: Any) -> None:
    for format in ("mp3", "opus", "aac", "flac", "pcm"):
        answer = said(local, stream=stream, response_format=format)
        assert answer.headers["content-type"] == audio.SPOKEN[format]
        assert int(answer.headers["content-length"]) == len(answer.body)
        assert heard(answer.body, format).seconds == pytest.approx(SECONDS, rel=0.02, abs=0.06)


@pytest.mark.parametrize("stream", TRUE)
@pytest.mark.parametrize("more", [{}, *({"stream_strip": strip} for strip in TRUE)])
def test_one_file_in_pieces(echo_server: Running, stream: Any, more: dict[str, Any]) -> None:
    head, chunks = pieces(echo_server.port, speech(stream=stream, **more))
    assert head["content-type"] == "audio/wav"
    assert head["transfer-encoding"] == "chunked"
    assert len(chunks) == 2
    assert struct.unpack("<I", chunks[0][4:8])[0] > 2**30 - 10
    assert not chunks[1].startswith(b"RIFF")
    assert heard(b"".join(chunks), "wav").seconds == pytest.approx(SECONDS, abs=0.03)


@pytest.mark.parametrize("strip", FALSE)
def test_a_file_for_each_sentence(echo_server: Running, strip: Any) -> None:
    head, chunks = pieces(echo_server.port, speech(stream="true", stream_strip=strip))
    assert head["content-type"] == "audio/wav"
    assert [chunk[:4] for chunk in chunks] == [b"RIFF"] * 2
    assert [struct.unpack("<I", chunk[24:28])[0] for chunk in chunks] == [16_000] * 2
    assert struct.unpack("<I", chunks[0][40:44])[0] > len(chunks[0])
    assert struct.unpack("<I", chunks[1][40:44])[0] == len(chunks[1]) - 44
    seconds = [(len(chunk) - 44) / 32_000 for chunk in chunks]
    assert seconds == [pytest.approx(7 * 0.06 + 0.1, abs=0.03), pytest.approx(5 * 0.06 + 0.05, abs=0.03)]


@pytest.mark.parametrize("format", ["mp3", "opus", "aac", "flac"])
def test_other_formats_in_pieces(echo_server: Running, format: str) -> None:
    head, chunks = pieces(echo_server.port, speech(stream=True, response_format=format))
    assert head["content-type"] == f"audio/{format}"
    assert heard(b"".join(chunks), format).seconds == pytest.approx(SECONDS, rel=0.02, abs=0.06)
    _, chunks = pieces(echo_server.port, speech(stream=True, stream_strip=False, response_format=format))
    assert len(chunks) == 2
    assert sum(heard(chunk, format).seconds for chunk in chunks) == pytest.approx(SECONDS, rel=0.02, abs=0.1)


def test_a_long_sentence_does_not_wait_for_its_end(echo_server: Running) -> None:
    _, chunks = pieces(echo_server.port, speech(input="word " * 100, stream=True))
    assert len(chunks) == 3
    assert heard(b"".join(chunks), "wav").seconds == pytest.approx(100 * (4 * 0.06 + 0.05), rel=0.02)


VOICES: list[tuple[dict[str, Any], str]] = [
    ({"voice": ""}, "low"),
    ({"voice": "high", "speaker": "low"}, "high"),
    ({"voice": "alloy", "speaker": "high"}, "high"),
    ({"voice": "", "speaker": "high", "chatbot_role": "low"}, "high"),
    ({"voice": "", "speaker": "", "chatbot_role": "high"}, "high"),
    ({"voice": "alloy", "chatbot_role": "high"}, "high"),
    ({"voice": "ash", "stream": False}, "high"),
    ({"speaker": "ash"}, "high"),
    ({"voice": "", "speaker": "SLT (female)", "chatbot_role": "Female AI Assistant"}, "low"),
    ({"voice": "ash", "speaker": "SLT (female)"}, "low"),
    ({"voice": "nobody", "stream": False}, "low"),
]


@pytest.mark.parametrize(("fields", "voice"), VOICES)
def test_whose_voice_it_is(local: Local, fields: dict[str, Any], voice: str) -> None:
    expected = samples(said(local, voice=voice, stream=False).body)
    assert samples(said(local, **{"stream": False, **fields}).body) == expected


def test_an_unknown_voice_is_refused_only_without_its_fields(local: Local) -> None:
    local.post(SPEECH, speech(voice="nobody")).refusal(400, "invalid_value", "voice")
    assert local.post(SPEECH, speech(voice="nobody", stream=True)).status == 200


def test_the_default_voice_can_be_set() -> None:
    models = {"echo": ModelConfig(backend="echo", voices={"default": "high"})}
    with Local(models=models) as application:
        given = samples(said(application, stream=False).body)
        assert given == samples(said(application, voice="high", stream=False).body)
        assert given == samples(said(application, speaker="nobody").body)
        application.post(SPEECH, speech(voice="default")).refusal(400, "invalid_value", "voice")
