"""Transcriptions by a model that can tell words' times, log probabilities and what is speech."""

from __future__ import annotations

import json
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import httpx2
import openai
import pytest

from openai_proxy.config import Limits, ModelConfig
from tests.conftest import Serve, servers
from tests.dialects.openai.forms import form, part, send, spoken
from tests.dialects.openai.listener import TEXT
from tests.dialects.openai.local import Local
from tests.running import Running
from tests.sounds import tone

SOUND = tone(1.0)
LISTENER = "tests.dialects.openai.listener:Listener"
CONFIG = f'[server]\ngrace = 0.0\n\n[models.ears]\nbackend = "{LISTENER}"\n\n[models.echo]\nbackend = "echo"\n'
Create = Callable[..., Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with servers(tmp_path_factory.mktemp("ears")) as start:
        yield start(CONFIG)


@pytest.fixture(scope="module")
def create(server: Running) -> Iterator[Create]:
    with server.client() as client:
        yield lambda **fields: client.audio.transcriptions.create(model="ears", file=("s.wav", SOUND), **fields)


@pytest.fixture(scope="module")
def ears() -> Iterator[Local]:
    with Local(models={"echo": ModelConfig(backend=LISTENER)}) as application:
        yield application


def events(answer: bytes) -> list[Any]:
    """The data of server-sent events."""
    return [json.loads(line[6:]) for line in answer.decode().splitlines() if line.startswith("data: ")]


def test_words(create: Create) -> None:
    heard = create(response_format="verbose_json", timestamp_granularities=["word"])
    assert [(word.word, word.start, word.end) for word in heard.words] == [
        ("One", 0.5, 1.0),
        ("two", 1.0, 1.4),
        ("three.", 2.4, 3.0),
        ("Four", 7.0, 7.5),
        ("five.", 11.5, 12.0),
    ]
    assert heard.segments is None
    assert heard.text == TEXT


def test_words_and_segments(create: Create) -> None:
    heard = create(response_format="verbose_json", timestamp_granularities=["word", "segment"])
    assert len(heard.words) == 5
    assert [segment.start for segment in heard.segments] == [0.5, 2.4, 7.0]
    first = heard.segments[0]
    assert (first.temperature, first.no_speech_prob, first.avg_logprob, first.tokens) == (0.4, 0.125, -0.25, [7])
    plain = create(response_format="verbose_json")
    assert plain.words is None
    assert len(plain.segments) == 3


def test_logprobs(create: Create) -> None:
    heard = create(include=["logprobs"])
    assert [(each.token, each.logprob, bytes(map(int, each.bytes))) for each in heard.logprobs][:2] == [
        (" One", -0.5, b" One"),
        (" two", -0.5, b" two"),
    ]
    assert create().logprobs is None


def test_a_stream_has_deltas_segments_and_the_whole_at_its_end(create: Create) -> None:
    told = list(create(stream=True))
    deltas = [event.delta for event in told if event.type == "transcript.text.delta"]
    segments = [event for event in told if event.type == "transcript.text.segment"]
    assert "".join(deltas) == told[-1].text == create().text == TEXT
    assert [(each.id, each.start, each.end, each.text, each.speaker) for each in segments] == [
        ("seg_1", 0.5, 1.4, "One two", ""),
        ("seg_2", 2.4, 3.0, "three.", ""),
        ("seg_3", 7.0, 12.0, "Four five.", ""),
    ]
    assert told[-1].type == "transcript.text.done"
    assert told[-1].usage.to_dict() == {"type": "tokens", "input_tokens": 3, "output_tokens": 5, "total_tokens": 8}
    assert told[-1].logprobs is None


def test_a_stream_with_logprobs(create: Create) -> None:
    told = list(create(stream=True, include=["logprobs"]))
    pieces = [each.token for event in told if event.type == "transcript.text.delta" for each in event.logprobs]
    assert pieces == [each.token for each in told[-1].logprobs] == [" One", " two", " three.", " Four", " five. "]


def test_segments_of_a_stream_are_asked_for_where_they_cost(server: Running) -> None:
    with server.client() as client:
        told = list(
            client.audio.transcriptions.create(
                model="echo", file=("s.wav", tone(6.0)), stream=True, timestamp_granularities=["segment"]
            )
        )
    assert [event.type.rpartition(".")[2] for event in told] == ["delta", "segment", "delta", "segment", "done"]


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        ("auto", "0.5 0.2 0.3 louder "),
        ({"type": "server_vad"}, "0.5 0.2 0.3 "),
        ({"type": "server_vad", "threshold": 1, "silence_duration_ms": 700, "prefix_padding_ms": 0}, "1 0.7 0 "),
    ],
)
def test_what_is_speech(create: Create, strategy: Any, told: str) -> None:
    assert create(chunking_strategy=strategy).text == told + TEXT


def test_what_is_speech_as_json_of_a_form(ears: Local) -> None:
    vad = json.dumps({"type": "server_vad", "threshold": 0.25})
    assert send(ears, spoken(SOUND, chunking_strategy=vad)).json["text"].startswith("0.25 0.2 0.3")


@pytest.mark.parametrize(
    "fields",
    [
        {"chunking_strategy": "server_vad"},
        {"chunking_strategy": "{}"},
        {"chunking_strategy": '{"type": "server_vad"'},
        {"chunking_strategy": '{"type": "server_vad", "treshold": 1}'},
        {"chunking_strategy": ["auto", "auto"]},
        {"chunking_strategy[type]": "semantic_vad"},
        {"chunking_strategy[threshold]": "0.5"},
        {"chunking_strategy[type]": ["server_vad", "server_vad"]},
        {"chunking_strategy": "auto", "chunking_strategy[type]": "server_vad"},
        *(
            {"chunking_strategy[type]": "server_vad", f"chunking_strategy[{name}]": value}
            for name, value in [
                ("threshold", "1.1"),
                ("threshold", "-0.1"),
                ("threshold", "nan"),
                ("silence_duration_ms", "-1"),
                ("silence_duration_ms", "60001"),
                ("prefix_padding_ms", "60001"),
                ("prefix_padding_ms", "1.5"),
                ("idle_timeout_ms", "5"),
            ]
        ),
    ],
)
def test_wrong_strategies_are_named(ears: Local, fields: dict[str, Any]) -> None:
    send(ears, spoken(SOUND, **fields)).refusal(400, "invalid_value", "chunking_strategy")


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"include[]": "logprobs", "response_format": "text"}, "include[]", "invalid_value"),
        ({"include[]": "logprobs", "response_format": "verbose_json"}, "include[]", "invalid_value"),
        ({"stream": "true", "timestamp_granularities[]": "word"}, "timestamp_granularities[]", "invalid_value"),
        ({"timestamp_granularities[]": "word", "response_format": "srt"}, "timestamp_granularities[]", "invalid_value"),
        *(
            ({"chunk": value}, "chunk", "invalid_value")
            for value in ("words", "0", "-5", "1.5", "9" * 10, "interval\n")
        ),
        ({"known_speaker_names[]": "me"}, "known_speaker_names[]", "unknown_parameter"),
        ({"model[x]": "y"}, "model[x]", "unknown_parameter"),
    ],
)
def test_refusals(ears: Local, fields: dict[str, Any], param: str, code: str) -> None:
    send(ears, spoken(SOUND, **fields)).refusal(400, code, param)


@pytest.mark.parametrize("value", ["interval", "silence", "500"])
def test_pieces_need_an_engine_that_tells_times(value: str) -> None:
    with Local(models={"echo": ModelConfig(backend="tests.dialects.openai.deaf:Deaf")}) as deaf:
        send(deaf, spoken(SOUND, chunk=value)).refusal(400, "unsupported_parameter", "chunk")
        assert events(send(deaf, spoken(SOUND, chunk="none", stream="true")).body) == [{"text": "what?"}]
        vad = {"chunking_strategy[type]": "server_vad"}
        send(deaf, spoken(SOUND, **vad)).refusal(400, "unsupported_parameter", "chunking_strategy")


@pytest.mark.parametrize(
    ("chunk", "pieces"),
    [
        ("none", [TEXT]),
        ("silence", ["One two", " three.", " Four", " five."]),
        ("interval", ["One two three. Four five."]),
        ("3000", ["One two three.", " Four five."]),
        ("1000", ["One two", " three.", " Four five."]),
    ],
)
def test_h2ogpts_form(ears: Local, chunk: str, pieces: list[str]) -> None:
    """One event a piece, which the client puts one after the other."""
    answer = send(ears, spoken(SOUND, chunk=chunk, stream="true", response_format="text"))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert events(answer.body) == [{"text": piece} for piece in pieces]
    assert b"[DONE]" not in answer.body
    whole = send(ears, spoken(SOUND, chunk=chunk, stream="false"))
    assert "".join(pieces) == TEXT == whole.json["text"]


def test_h2ogpts_client(serve: Serve, tmp_path: pathlib.Path) -> None:
    """Its key goes by X-API-KEY, its file without a name of a kind, and what it hears is put together."""
    running = serve(f'default_model = "ears"\n{CONFIG}', path="/livez", OPENAI_PROXY_KEYS="someone=sk-secret")
    data = {"model": "", "stream": "true", "response_format": "text", "chunk": "silence"}
    sound = {"file": ("audio.wav", SOUND, "audio/wav")}
    url = f"{running.base_url}/audio/transcriptions"
    text = ""
    with httpx2.stream("POST", url, headers={"X-API-KEY": "sk-secret"}, data=data, files=sound) as answer:
        assert answer.status_code == 200
        for line in answer.iter_lines():
            if line.startswith("data: "):
                text += json.loads(line[6:])["text"]
    assert text == TEXT
    wrong = httpx2.post(url, headers={"X-API-KEY": "sk-other"}, data=data, files=sound)
    assert wrong.status_code == 401


def test_an_error_in_h2ogpts_form(server: Running) -> None:
    """The damage is found once the stream has begun, or before: it is told in the form of either."""
    broken = SOUND[:44] + b"\xff" * 7
    url = f"{server.base_url}/audio/transcriptions"
    data = {"model": "echo", "stream": "true", "chunk": "interval"}
    answer = httpx2.post(url, data=data, files={"file": ("a", b"fLaC" + broken)})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "file"


def test_curl_streams(server: Running, tmp_path: pathlib.Path) -> None:
    (tmp_path / "s.wav").write_bytes(SOUND)
    command = ["curl", "-sN", f"{server.base_url}/audio/transcriptions", "-F", f"file=@{tmp_path}/s.wav"]
    more = ["-F", "model=ears", "-F", "stream=true", "-F", "chunking_strategy=auto", "-F", "include[]=logprobs"]
    made = subprocess.run([*command, *more], check=True, capture_output=True)
    told = events(made.stdout)
    assert told[-1]["text"] == f"0.5 0.2 0.3 louder {TEXT}"
    assert len(told[-1]["logprobs"]) == 5


def test_uploads_of_ten_megabytes_and_past_the_limit(server: Running, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(tone(330.0))
    assert path.stat().st_size > 10_000_000
    with server.client() as client:
        assert client.audio.transcriptions.create(model="ears", file=path).text == TEXT
        with path.open("rb") as file, pytest.raises(openai.APIStatusError) as caught:
            client.audio.transcriptions.create(model="ears", file=("x.wav", file.read() * 3))
    assert caught.value.status_code == 413
    assert Limits().upload_bytes == 25 * 1024 * 1024


def test_the_limit_is_a_setting() -> None:
    body = spoken(SOUND)
    models = {"echo": ModelConfig(backend=LISTENER)}
    with Local(models=models, limits=Limits(upload_bytes=len(body))) as exact:
        assert send(exact, body).status == 200
    with Local(models=models, limits=Limits(upload_bytes=len(body) - 1)) as tight:
        send(tight, body).refusal(413, "request_too_large", None)


def test_one_file_and_no_less(ears: Local) -> None:
    named = part("model", "echo")
    send(ears, form(named, part("file", SOUND, "a"), part("file", SOUND, "b"))).refusal(400, "invalid_value", "file")
    send(ears, form(named, part("file[]", SOUND, "a"))).refusal(400, "unknown_parameter", "file[]")
    send(ears, form(named, part("file", "words"))).refusal(400, "invalid_value", "file")
