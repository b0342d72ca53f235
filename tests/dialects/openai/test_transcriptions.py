"""Transcriptions and translations: each field's effect, each shape of the answer, each refusal."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from openai_proxy.config import ModelConfig
from tests.dialects.openai.forms import BOUNDARY, TRANSCRIPTIONS, TRANSLATIONS, form, part, send, spoken
from tests.dialects.openai.local import CHAT, Local, ask, chat, connect
from tests.running import Running
from tests.sounds import encoded, tone

SOUND = tone(7.0)
LINES = ["en 0 to 5.", "en 5 to 7."]
TEXT = " ".join(LINES)


@pytest.fixture(scope="module")
def client(echo_server: Running) -> Iterator[openai.OpenAI]:
    with echo_server.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def deaf() -> Iterator[Local]:
    """A model that does not transcribe."""
    with Local(models={"echo": ModelConfig(backend="tests.dialects.openai.deaf:Deaf")}) as application:
        yield application


def test_json(client: openai.OpenAI) -> None:
    heard = client.audio.transcriptions.create(model="echo", file=("sound.wav", SOUND))
    assert heard.text == TEXT
    assert heard.usage is not None
    assert heard.usage.to_dict() == {"type": "duration", "seconds": 7}


@pytest.mark.parametrize(("container", "codec"), [("mp3", "libmp3lame"), ("flac", "flac"), ("ogg", "libopus")])
def test_other_formats_by_their_content(client: openai.OpenAI, container: str, codec: str) -> None:
    heard = client.audio.transcriptions.create(model="echo", file=("x.wav", encoded(tone(3.0), container, codec)))
    assert heard.text.startswith("en 0 to 3")


def test_a_path_and_an_open_file(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "s ö.wav"
    path.write_bytes(SOUND)
    assert client.audio.transcriptions.create(model="echo", file=path).text == TEXT
    with path.open("rb") as file:
        assert client.audio.transcriptions.create(model="echo", file=file).text == TEXT


def test_verbose_json(client: openai.OpenAI) -> None:
    heard = client.audio.transcriptions.create(
        model="echo", file=("s.wav", SOUND), response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert (heard.text, heard.language, heard.duration) == (TEXT, "en", 7.0)
    assert heard.segments is not None
    assert [(each.id, each.start, each.end) for each in heard.segments] == [(0, 0.0, 5.0), (1, 5.0, 7.0)]
    assert "".join(each.text for each in heard.segments).strip() == TEXT


@pytest.mark.parametrize(
    ("shape", "kind", "begins"),
    [
        ("text", "text/plain; charset=utf-8", f"{TEXT}\n"),
        ("srt", "text/plain; charset=utf-8", f"1\n00:00:00,000 --> 00:00:05,000\n{LINES[0]}\n\n2\n"),
        ("vtt", "text/vtt; charset=utf-8", f"WEBVTT\n\n00:00:00.000 --> 00:00:05.000\n{LINES[0]}\n\n"),
    ],
)
def test_text_and_subtitles(client: openai.OpenAI, shape: Any, kind: str, begins: str) -> None:
    raw = client.audio.transcriptions.with_raw_response.create(
        model="echo", file=("s.wav", SOUND), response_format=shape
    )
    assert raw.headers["content-type"] == kind
    assert raw.text.startswith(begins)
    parsed: Any = client.audio.transcriptions.create(model="echo", file=("s.wav", SOUND), response_format=shape)
    assert parsed == raw.text


def test_a_stream(client: openai.OpenAI) -> None:
    stream = client.audio.transcriptions.create(model="echo", file=("s.wav", SOUND), stream=True)
    events = list(stream)
    deltas = [event.delta for event in events if event.type == "transcript.text.delta"]
    done = events[-1]
    assert len(deltas) == 2
    assert done.type == "transcript.text.done"
    assert "".join(deltas) == done.text == TEXT
    assert done.usage is not None
    assert done.usage.output_tokens == 8


def test_language_prompt_and_script(client: openai.OpenAI) -> None:
    heard = client.audio.transcriptions.create(
        model="echo", file=("s.wav", tone(1.0)), language="fr", prompt="bien sûr", temperature=0.5
    )
    assert heard.text == "fr bien sûr 0 to 1."


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_translation(client: openai.OpenAI) -> None:
    said = client.audio.translations.create(model="echo", file=("s.wav", tone(1.0)))
    assert said.text == "translate en 0 to 1."
    verbose = client.audio.translations.create(model="echo", file=("s.wav", SOUND), response_format="verbose_json")
    assert (verbose.language, verbose.duration) == ("en", 7.0)


def test_curl(echo_server: Running, tmp_path: Path) -> None:
    (tmp_path / "s.wav").write_bytes(SOUND)
    command = ["curl", "-s", f"{echo_server.base_url}/audio/transcriptions", "-F", f"file=@{tmp_path}/s.wav"]
    made = subprocess.run(
        [*command, "-F", "model=echo", "-F", "response_format=verbose_json", "-F", "timestamp_granularities=segment"],
        check=True,
        capture_output=True,
    )
    assert len(json.loads(made.stdout)["segments"]) == 2


REFUSALS: list[tuple[dict[str, Any], str, str]] = [
    ({"model": "nobody"}, "model", "invalid_value"),
    ({"temperature": 1.1}, "temperature", "invalid_value"),
    ({"temperature": "nan"}, "temperature", "invalid_value"),
    ({"temperature": "warm"}, "temperature", "invalid_value"),
    ({"response_format": "xml"}, "response_format", "invalid_value"),
    ({"response_format": "diarized_json"}, "response_format", "invalid_value"),
    ({"language": "english"}, "language", "invalid_value"),
    ({"language": "en\n"}, "language", "invalid_value"),
    ({"stream": "perhaps"}, "stream", "invalid_value"),
    ({"stream": "true", "response_format": "srt"}, "response_format", "invalid_value"),
    ({"stream": "true", "response_format": "verbose_json"}, "response_format", "invalid_value"),
    ({"timestamp_granularities[]": "segment"}, "timestamp_granularities[]", "invalid_value"),
    (
        {"timestamp_granularities[]": ["segment", "word"], "response_format": "verbose_json"},
        "timestamp_granularities[]",
        "unsupported_parameter",
    ),
    (
        {"timestamp_granularities[]": "year", "response_format": "verbose_json"},
        "timestamp_granularities[]",
        "invalid_value",
    ),
    ({"include[]": "logprobs"}, "include[]", "unsupported_parameter"),
    ({"chunking_strategy": "server_vad"}, "chunking_strategy", "invalid_value"),
    ({"langauge": "en"}, "langauge", "unknown_parameter"),
    ({"language": ["en", "de"]}, "language", "invalid_value"),
]


@pytest.mark.parametrize(("fields", "param", "code"), REFUSALS)
def test_refusals(local: Local, fields: dict[str, Any], param: str, code: str) -> None:
    send(local, spoken(tone(0.1), **fields)).refusal(400, code, param)


def test_a_language_that_is_no_code(local: Local) -> None:
    answer = send(local, spoken(tone(0.1), language="English"))
    assert (
        answer.error["message"] == "language must be a code of ISO 639: en for English, de for German, zh for Chinese."
    )


@pytest.mark.parametrize("name", ["timestamp_granularities[]", "chunking_strategy", "include[]"])
def test_translations_have_fewer_fields(local: Local, name: str) -> None:
    send(local, spoken(tone(0.1), **{name: "auto"}), TRANSLATIONS).refusal(400, "unknown_parameter", name)


def test_empty_text_sets_nothing(local: Local) -> None:
    body = spoken(tone(1.0), language="", prompt="", temperature="", response_format="", chunking_strategy="auto")
    assert send(local, body).json["text"] == "en 0 to 1."


@pytest.mark.parametrize("field", ["language", "prompt", "temperature"])
def test_what_the_model_cannot_is_refused(deaf: Local, field: str) -> None:
    body = spoken(tone(0.1), **{field: "en" if field == "language" else "0"})
    send(deaf, body).refusal(400, "unsupported_parameter", field)


def test_formats_and_tasks_that_the_model_cannot(deaf: Local) -> None:
    body = spoken(tone(0.1), response_format="vtt")
    send(deaf, body).refusal(400, "unsupported_parameter", "response_format")
    send(deaf, spoken(tone(0.1)), TRANSLATIONS).refusal(400, "unsupported_parameter", "model")


@pytest.mark.parametrize(
    "sound", [b"", b"text", b"#EXTM3U\n", b"PK\x03\x04" + bytes(50), SOUND[:40], b"fLaC" + bytes(100), tone(0.0)]
)
def test_what_is_no_sound(local: Local, sound: bytes) -> None:
    send(local, spoken(sound)).refusal(400, "invalid_audio", "file")


FORMS: list[tuple[bytes, int, str, str | None]] = [
    (form(part("model", "echo")), 400, "invalid_value", "file"),
    (form(part("model", "echo"), part("file", "text")), 400, "invalid_value", "file"),
    (form(part("file", SOUND, "a"), part("file", SOUND, "b")), 400, "invalid_value", "file"),
    (form(part("file", SOUND, "a"), part("model", "echo", "b")), 400, "invalid_value", "model"),
    (form(part("file", SOUND, "a"), part("model", b"\xff")), 400, "invalid_value", "model"),
    (form(), 400, "invalid_value", "file"),
    (b"", 400, "invalid_value", None),
    (b"garbage", 400, "invalid_value", None),
    (spoken(SOUND)[:-10], 400, "invalid_value", None),
    (form(part("file", SOUND, "a", "X: " + "y" * 9000 + "\r\n")), 400, "invalid_value", None),
    (form(part("file", SOUND, "a", "X: y\r\n" * 9)), 400, "invalid_value", None),
    (form(f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nx\r\n".encode()), 400, "invalid_value", None),
    (form(part("file", SOUND, "a"), part("../../x", "y")), 400, "unknown_parameter", "../../x"),
]


def test_without_a_model_the_first_that_hears_does_it(local: Local) -> None:
    for body in (form(part("file", SOUND, "a")), form(part("file", SOUND, "a"), part("model", ""))):
        assert send(local, body).status == 200


@pytest.mark.parametrize(("body", "status", "code", "param"), FORMS)
def test_bad_forms(local: Local, body: bytes, status: int, code: str, param: str | None) -> None:
    send(local, body).refusal(status, code, param)


@pytest.mark.parametrize(
    "kind",
    [
        *("", "application/json", "application/x-www-form-urlencoded", "multipart/form-data"),
        *("multipart/mixed; boundary=x", f"multipart/form-data; boundary={'b' * 71}", "multipart/form-data; boundary="),
    ],
)
def test_other_bodies_are_not_taken(local: Local, kind: str) -> None:
    send(local, spoken(SOUND), kind=kind).refusal(415, "unsupported_media_type", None)


def test_the_name_of_a_file_is_no_path(local: Local) -> None:
    for name in ("../../etc/passwd", "/etc/passwd", "a\\b", "\0", "ü" * 500):
        body = form(part("file", tone(1.0), name), part("model", "echo"))
        assert send(local, body).json["text"] == "en 0 to 1."


def test_without_the_extra_it_is_said_what_is_missing(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    answer = send(local, spoken(SOUND))
    answer.refusal(400, "unsupported_parameter", "file")
    assert "extra 'audio'" in answer.error["message"]


def test_a_form_of_many_parts(local: Local) -> None:
    send(local, form(*[part("prompt", "x")] * 10_000)).refusal(400, "too_many_items", None)


def test_what_is_around_a_form_and_nothing_in_it(local: Local) -> None:
    """Before the first boundary and after the last there may be anything; zeros in a text are characters."""
    heard = send(local, b"\r\n" * 1000 + spoken(tone(1.0), prompt="a\0b") + b"x" * 10_000)
    assert heard.json["text"] == "en a\0b 0 to 1."
    send(local, form(part("file", SOUND, "a"), part("model", "ec\0ho"))).refusal(404, "model_not_found", "model")
    send(local, form(part("file", SOUND, "a"), part("mo\0del", "echo"))).refusal(400, "unknown_parameter", "mo\0del")


def test_a_form_without_end_is_cut(echo_server: Running) -> None:
    kind = f"content-type: multipart/form-data; boundary={BOUNDARY}"
    head = f"POST {TRANSCRIPTIONS} HTTP/1.1\r\nhost: localhost\r\n{kind}\r\n"
    with connect(echo_server.port) as announced:
        announced.sendall(f"{head}content-length: 4000000000\r\n\r\n".encode())
        assert announced.recv(100).startswith(b"HTTP/1.1 413 ")
    piece = b"100000\r\n" + bytes(0x100000) + b"\r\n"
    with connect(echo_server.port) as endless:
        endless.sendall(f"{head}transfer-encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                endless.sendall(piece)
        assert endless.recv(100).startswith(b"HTTP/1.1 413 ")


def test_hours_in_few_bytes_are_refused_by_the_head(local: Local) -> None:
    """STREAMINFO says how many samples there are; that nobody believes a lie is tried in tests/audio."""
    data = bytearray(encoded(tone(1.0), "flac", "flac"))
    data[21:26] = bytes((data[21] & 0xF0 | 0xF, *b"\xff\xff\xff\xff"))
    send(local, spoken(bytes(data))).refusal(400, "invalid_audio", "file")


def test_a_chat_model_does_not_transcribe_and_the_other_way_round(deaf: Local) -> None:
    chatting = ModelConfig(backend="tests.dialects.openai.deaf:Deaf", options={"chats": True})
    with Local(models={"echo": chatting}) as chats:
        send(chats, spoken(tone(0.1))).refusal(400, "unsupported_parameter", "model")
    deaf.post(CHAT, chat()).refusal(400, "unsupported_parameter", "model")


def test_get_is_not_allowed(echo_server: Running) -> None:
    for path in (TRANSCRIPTIONS, TRANSLATIONS):
        assert ask(echo_server.port, "GET", path).status == 405
