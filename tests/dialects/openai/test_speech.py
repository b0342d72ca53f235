"""`POST /v1/audio/speech` in OpenAI's form: each field's effect, each limit on both sides, each refusal."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import openai
import pytest

import audio
from openai_proxy.config import Limits, ModelConfig
from tests.dialects.openai.local import Local
from tests.dialects.openai.speaking import FORMATS, SPEECH, events, heard, joined, samples, speech
from tests.dialects.openai.talker import HERTZ
from tests.running import Running

TEXT = "one two. three"
# Of the model `echo`: 0.06 s a character and 0.05 s a pause, cut to whole waves.
SECONDS = 12 * 0.06 + 3 * 0.05
TYPES = dict(audio.SPOKEN)


@pytest.fixture(scope="module")
def client(echo_server: Running) -> Iterator[openai.OpenAI]:
    with echo_server.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def talkers() -> Iterator[Local]:
    """Models that have one speed; `steady` takes no instructions, `actor` does."""
    talker = "tests.dialects.openai.talker:Talker"
    models = {
        "steady": ModelConfig(backend=talker),
        "actor": ModelConfig(backend=talker, options={"instructions": True}),
    }
    with Local(models=models) as application:
        yield application


@pytest.mark.parametrize("format", FORMATS)
def test_each_format_with_the_sdk(client: openai.OpenAI, format: Any) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="echo", voice="alloy", input=TEXT, response_format=format
    ) as answer:
        assert answer.headers["content-type"] == TYPES[format]
        assert answer.headers["transfer-encoding"] == "chunked"
        data = b"".join(answer.iter_bytes())
    assert heard(data, format).seconds == pytest.approx(SECONDS, rel=0.02, abs=0.06)
    whole = client.audio.speech.create(model="echo", voice="alloy", input=TEXT, response_format=format)
    assert heard(whole.read(), format).seconds == pytest.approx(SECONDS, rel=0.02, abs=0.06)


def test_mp3_is_the_format_of_those_who_ask_for_none(client: openai.OpenAI) -> None:
    answer = client.audio.speech.with_raw_response.create(model="echo", voice="alloy", input=TEXT)
    assert answer.headers["content-type"] == "audio/mpeg"
    assert audio.sniff(answer.content) == "mp3"


def test_to_a_file(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "speech.flac"
    with client.audio.speech.with_streaming_response.create(
        model="echo", voice="alloy", input=TEXT, response_format="flac"
    ) as answer:
        answer.stream_to_file(path)
    assert audio.sniff(path.read_bytes()) == "flac"


@pytest.mark.parametrize("format", FORMATS)
def test_events_hold_the_same_file(client: openai.OpenAI, local: Local, format: Any) -> None:
    raw = client.audio.speech.with_raw_response.create(
        model="echo", voice="alloy", input=TEXT, response_format=format, stream_format="sse"
    )
    assert raw.headers["content-type"] == "text/event-stream; charset=utf-8"
    found = events(raw.content)
    assert len(found) >= 4
    assert found[-1]["usage"] == {"input_tokens": 3, "output_tokens": 3, "total_tokens": 6}
    plain = local.post(SPEECH, speech(response_format=format, stream_format="audio"))
    # An Ogg file has a number of its own.
    assert joined(found) == plain.body or format == "opus"
    assert heard(joined(found), format) == heard(plain.body, format)


def test_a_wav_in_a_stream_leaves_its_length_open(local: Local) -> None:
    body = local.post(SPEECH, speech(response_format="wav")).body
    assert (body[:8], body[36:44]) == (b"RIFF\xff\xff\xff\xff", b"data\xff\xff\xff\xff")
    assert body[44:] == samples(local.post(SPEECH, speech(stream=False)).body)[1]


@pytest.mark.parametrize("voice", ["high", {"id": "high"}, "ash"])
def test_the_voice(local: Local, voice: Any) -> None:
    other = local.post(SPEECH, speech(voice=voice, response_format="wav"))
    assert other.body == local.post(SPEECH, speech(voice="high", response_format="wav")).body
    low = local.post(SPEECH, speech(voice="low", response_format="wav")).body
    assert low == local.post(SPEECH, speech(response_format="wav")).body != other.body


@pytest.mark.parametrize("speed", [0.25, 0.5, 1, 2.0, 4])
def test_the_speed_of_an_engine_that_has_it(client: openai.OpenAI, speed: float) -> None:
    said = client.audio.speech.create(model="echo", voice="alloy", input=TEXT, speed=speed, response_format="wav")
    assert heard(said.read(), "wav").seconds == pytest.approx(SECONDS / speed, rel=0.02, abs=0.03)


@pytest.mark.parametrize("speed", [0.25, 0.7, 1.5, 4])
@pytest.mark.parametrize("more", [{}, {"stream_format": "sse"}, {"stream": False}, {"stream": True}])
def test_the_speed_of_an_engine_that_has_none(talkers: Local, speed: float, more: dict[str, Any]) -> None:
    """The sound is stretched: it lasts as long as it should, at the pitch that it had."""
    body = {"model": "steady", "input": "A. B. C.", "speed": speed, "response_format": "wav", **more}
    answer = talkers.post(SPEECH, body)
    clip = heard(joined(events(answer.body)) if "stream_format" in more else answer.body, "wav")
    assert clip.seconds == pytest.approx(3 / speed, rel=0.03)
    assert pitch(clip.pcm, clip.rate) == pytest.approx(HERTZ, rel=0.05)


def pitch(pcm: bytes, rate: int) -> float:
    """Rising zero crossings a second, in the middle half."""
    values = memoryview(pcm).cast("h")
    middle = values[len(values) // 4 : len(values) * 3 // 4]
    rising = sum(1 for before, after in pairwise(middle) if before < 0 <= after)
    return rising / (len(middle) / rate)


def test_instructions_where_the_engine_has_them(talkers: Local) -> None:
    body = {"input": "A.", "instructions": "Whisper.", "response_format": "wav"}
    acted = talkers.post(SPEECH, {"model": "actor", **body})
    assert heard(acted.body, "wav").seconds == pytest.approx(0.5)
    assert "x-ignored-fields" not in acted.headers
    plain = talkers.post(SPEECH, {"model": "steady", **body})
    assert heard(plain.body, "wav").seconds == pytest.approx(1.0)
    assert plain.headers["x-ignored-fields"] == "instructions"


def test_the_first_model_that_speaks_answers_who_names_none(talkers: Local, local: Local) -> None:
    body = {"input": "A.", "response_format": "wav"}
    for name in ({}, {"model": ""}, {"model": None}):
        assert talkers.post(SPEECH, body | name).status == 200
        assert local.post(SPEECH, body | name).status == 200
    assert local.post(SPEECH, body | {"model": "parrot"}).status == 200
    models = {"deaf": ModelConfig(backend="tests.dialects.openai.deaf:Deaf"), "echo": ModelConfig(backend="echo")}
    with Local(models=models, default_model="deaf") as mixed:
        assert mixed.post(SPEECH, body).status == 200
        mixed.post(SPEECH, body | {"model": "deaf"}).refusal(400, "unsupported_parameter", "model")
    with Local(models={"deaf": models["deaf"]}, default_model="deaf") as mute:
        mute.post(SPEECH, body).refusal(400, "unsupported_parameter", "model")
    with Local(models={"deaf": models["deaf"]}) as mute:
        mute.post(SPEECH, body).refusal(400, "invalid_value", "model")


def test_curl(echo_server: Running, tmp_path: Path) -> None:
    command = ["curl", "-sf", f"{echo_server.base_url}/audio/speech", "-H", "content-type: application/json"]
    body = json.dumps({"model": "echo", "input": "Hello there.", "voice": "nova", "response_format": "opus"})
    subprocess.run([*command, "-d", body, "-o", str(tmp_path / "a.opus")], check=True)
    assert audio.sniff((tmp_path / "a.opus").read_bytes()) == "ogg"


REFUSALS: list[tuple[dict[str, Any], int, str, str | None]] = [
    ({"model": "nobody"}, 404, "model_not_found", "model"),
    ({"model": "e" * 201}, 400, "invalid_value", "model"),
    ({"voice": "nobody"}, 400, "invalid_value", "voice"),
    ({"voice": {"id": "nobody"}}, 400, "invalid_value", "voice"),
    ({"voice": {"name": "low"}}, 400, "unknown_parameter", "voice.name"),
    ({"voice": 5}, 400, "invalid_value", "voice"),
    ({"response_format": "ogg"}, 400, "invalid_value", "response_format"),
    ({"stream_format": "json"}, 400, "invalid_value", "stream_format"),
    ({"stream_format": "sse", "stream": False}, 400, "invalid_value", "stream_format"),
    ({"speed": 0.24}, 400, "invalid_value", "speed"),
    ({"speed": 4.01}, 400, "invalid_value", "speed"),
    ({"speed": "fast"}, 400, "invalid_value", "speed"),
    ({"stream": "perhaps"}, 400, "invalid_value", "stream"),
    ({"stream_strip": 1}, 400, "invalid_value", "stream_strip"),
    ({"format": "xyz"}, 400, "invalid_value", "format"),
    ({"input": 5}, 400, "invalid_value", "input"),
    ({"input": None}, 400, "invalid_value", "input"),
    ({"lyrics": "la"}, 400, "unknown_parameter", "lyrics"),
    ({"script": {"fail": "early"}}, 500, "engine_failed", None),
    ({"script": {"fail": "unavailable"}}, 503, "engine_unavailable", None),
    ({"script": {"nonsense": 1}}, 400, "invalid_value", "script"),
]


@pytest.mark.parametrize(("fields", "status", "code", "param"), REFUSALS)
@pytest.mark.parametrize("way", [{}, {"stream_format": "sse"}])
def test_refusals(
    local: Local, fields: dict[str, Any], status: int, code: str, param: str | None, way: dict[str, Any]
) -> None:
    local.post(SPEECH, speech(**way | fields)).refusal(status, code, param)
    assert local.post(SPEECH, speech()).status == 200  # failures in a row would give the model a pause


def test_input_is_required(local: Local) -> None:
    local.post(SPEECH, {"model": "echo"}).refusal(400, "invalid_value", "input")


def test_an_unknown_voice_is_told_which_there_are(local: Local) -> None:
    message = local.post(SPEECH, speech(voice="Nobody")).error["message"]
    assert "low, high, alloy, ash" in message


NOTHING = ["", " ", "\n\t\u3000", "...", "?!", "- -", "😀", "👩‍👩‍👧🇩🇪", "1️⃣#️⃣", "❤️ ☎️", "\u200b\ufeff", "ℹ️", "©️"]


@pytest.mark.parametrize("text", NOTHING)
@pytest.mark.parametrize("more", [{}, {"stream_format": "sse"}, {"stream": True}, {"stream": False}])
def test_nothing_to_say(local: Local, text: str, more: dict[str, Any]) -> None:
    local.post(SPEECH, speech(input=text, **more)).refusal(400, "invalid_value", "input")


@pytest.mark.parametrize("text", ["a", "7", "é", "日本語", "привет", "🎉 party", "½", "①"])
def test_something_to_say(local: Local, text: str) -> None:
    answer = local.post(SPEECH, speech(input=text, response_format="wav"))
    assert answer.status == 200
    assert heard(answer.body, "wav").seconds > 0.05


WAYS: list[dict[str, Any]] = [{}, {"stream_format": "sse"}, {"stream": True}, {"stream": False}]
WAYS += [{"stream": True, "stream_strip": False}]


@pytest.mark.parametrize("more", WAYS)
def test_an_engine_that_makes_no_sound_of_it(local: Local, more: dict[str, Any]) -> None:
    """The model `echo` says words, and a sign of money is none."""
    local.post(SPEECH, speech(input="€", **more)).refusal(400, "invalid_value", "input")


def test_the_length_of_the_text(local: Local) -> None:
    """Characters, not bytes."""
    assert local.post(SPEECH, speech(input="ä" * 4096, response_format="wav", speed=4)).status == 200
    local.post(SPEECH, speech(input="a" * 4097)).refusal(400, "invalid_value", "input")
    assert local.post(SPEECH, speech(instructions="a" * 4096, response_format="wav")).status == 200
    local.post(SPEECH, speech(instructions="a" * 4097)).refusal(400, "invalid_value", "instructions")


def test_the_length_of_the_text_can_be_set() -> None:
    with Local(Limits(speech_characters=5)) as strict:
        assert strict.post(SPEECH, speech(input="12345", response_format="wav")).status == 200
        strict.post(SPEECH, speech(input="123456")).refusal(400, "invalid_value", "input")
        schema = strict.send("GET", "/openapi.json").json["components"]["schemas"]
        assert schema["SpeechBody"]["properties"]["input"]["maxLength"] == 5


def test_the_metrics(talkers: Local) -> None:
    def figures() -> dict[str, float]:
        lines = talkers.send("GET", "/metrics").body.decode().splitlines()
        rows = (line.rpartition(" ") for line in lines if 'model="steady"' in line)
        return {name.partition("{")[0].removeprefix("openai_proxy_"): float(value) for name, _, value in rows}

    before = figures()
    assert talkers.post(SPEECH, {"model": "steady", "input": "A. B.", "response_format": "wav"}).status == 200
    after = figures()
    assert after["speech_seconds_total"] - before.get("speech_seconds_total", 0) == pytest.approx(2.0)
    for name in ("first_audio_seconds_count", "speech_real_time_factor_count"):
        assert after[name] == before.get(name, 0) + 1
    assert 0 < after["speech_real_time_factor_sum"] - before.get("speech_real_time_factor_sum", 0) < 1
