"""The embedded Whisper model over HTTP, as clients use it."""

from __future__ import annotations

import io
import json
import re
import struct
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from audio import Clip, load, wav
from tests.conftest import servers
from tests.recordings import BECKETT, CITIES, WORDS, recording, word_errors
from tests.running import Running
from tests.sounds import encoded, tone

pytestmark = pytest.mark.engine

CONFIG = """
default_model = "whisper-base"

[server]
grace = 0.0

[models.whisper-base]
backend = "faster_whisper"
aliases = ["whisper-1"]
options = { weights = "whisper-base" }
"""
SOUND = tone(1.0)


class Ears:
    """A server with the model, and the folder of its temporary files."""

    def __init__(self, server: Running, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.url = f"{server.base_url}/audio/transcriptions"

    def post(self, sound: bytes, name: str = "a.wav", **fields: Any) -> httpx2.Response:
        return httpx2.post(self.url, data=fields, files={"file": (name, sound)}, timeout=60)


@pytest.fixture(scope="module")
def ears(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ears]:
    temporary = tmp_path_factory.mktemp("temporary")
    with servers(tmp_path_factory.mktemp("ears")) as start:
        yield Ears(start(CONFIG, timeout=540, TMPDIR=str(temporary)), temporary)


@pytest.fixture(scope="module")
def client(ears: Ears) -> Iterator[openai.OpenAI]:
    with ears.server.client() as opened:
        yield opened


@pytest.fixture(scope="module")
def beckett() -> Path:
    return recording(BECKETT)


def test_a_path_a_tuple_and_an_open_file(client: openai.OpenAI, beckett: Path) -> None:
    texts = {client.audio.transcriptions.create(model="whisper-1", file=beckett).text}
    texts.add(client.audio.transcriptions.create(model="whisper-1", file=("a.mp3", beckett.read_bytes())).text)
    with beckett.open("rb") as file:
        texts.add(client.audio.transcriptions.create(model="whisper-1", file=file).text)
    assert len(texts) == 1
    assert word_errors(WORDS[BECKETT], texts.pop()) <= 0.1


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("mp3", "libmp3lame", 44_100),
        ("flac", "flac", 16_000),
        ("ogg", "libopus", 48_000),
        ("webm", "libopus", 48_000),
        ("mp4", "aac", 44_100),
    ],
)
def test_every_container_by_its_content(
    client: openai.OpenAI, beckett: Path, container: str, codec: str, rate: int
) -> None:
    sound = encoded(wav(resampled(beckett, rate)), container, codec, rate)
    heard = client.audio.transcriptions.create(model="whisper-1", file=("x.wav", sound))
    assert word_errors(WORDS[BECKETT], heard.text) <= 0.1


def resampled(path: Path, rate: int) -> Clip:
    return load(path.read_bytes(), 3600, rate)


def test_the_whole_and_the_stream_say_the_same(client: openai.OpenAI, capsys: pytest.CaptureFixture[str]) -> None:
    path = recording(CITIES)
    whole = client.audio.transcriptions.create(model="whisper-1", file=path)
    told = list(client.audio.transcriptions.create(model="whisper-1", file=path, stream=True))
    deltas = [event.delta for event in told if event.type == "transcript.text.delta"]
    segments = [event for event in told if event.type == "transcript.text.segment"]
    assert len(deltas) == len(segments) > 5
    done = told[-1]
    assert done.type == "transcript.text.done"
    assert "".join(deltas) == done.text == whole.text
    assert done.usage is not None
    assert done.usage.output_tokens > 100
    with client.audio.transcriptions.with_streaming_response.create(
        model="whisper-1", file=path, response_format="text"
    ) as answer:
        assert "".join(answer.iter_text()).strip() == whole.text
    rate = word_errors(WORDS[CITIES], whole.text)
    with capsys.disabled():
        print(f"\n{CITIES} over HTTP: word error rate {rate:.1%}")
    assert rate <= 0.1


def test_formats_with_times(client: openai.OpenAI, beckett: Path) -> None:
    verbose = client.audio.transcriptions.create(
        model="whisper-1",
        file=beckett,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
        language="en",
        temperature=0,
    )
    assert verbose.language == "en"
    assert verbose.duration == pytest.approx(9.96, abs=0.01)
    assert verbose.words is not None
    assert [word.word.strip(".,").lower() for word in verbose.words][:2] == ["ever", "tried"]
    assert verbose.segments is not None
    assert all(0 < segment.no_speech_prob < 1 for segment in verbose.segments)
    srt: Any = client.audio.transcriptions.create(model="whisper-1", file=beckett, response_format="srt")
    assert re.match(r"1\n00:00:00,000 --> 00:00:0\d,\d{3}\n\S", srt)
    vtt: Any = client.audio.transcriptions.create(model="whisper-1", file=beckett, response_format="vtt")
    assert re.match(r"WEBVTT\n\n00:00:00\.000 --> 00:00:0\d\.\d{3}\n\S", vtt)


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_translation(client: openai.OpenAI, beckett: Path) -> None:
    said = client.audio.translations.create(model="whisper-1", file=beckett, response_format="json")
    assert "fail" in said.text.lower()


def test_what_is_speech_by_the_sdk(client: openai.OpenAI, beckett: Path) -> None:
    strategies: list[tuple[Any, bool]] = [("auto", True), ({"type": "server_vad", "threshold": 1.0}, False)]
    for strategy, hears in strategies:
        heard = client.audio.transcriptions.create(model="whisper-1", file=beckett, chunking_strategy=strategy)
        assert bool(heard.text) == hears


def test_log_probabilities_are_refused_by_name(ears: Ears) -> None:
    answer = ears.post(SOUND, **{"include[]": "logprobs"})
    assert answer.status_code == 400
    assert (answer.json()["error"]["param"], answer.json()["error"]["code"]) == ("include[]", "unsupported_parameter")


@pytest.mark.parametrize(("chunk", "least"), [("none", 1), ("interval", 4), ("silence", 4)])
def test_h2ogpts_pieces(ears: Ears, chunk: str, least: int) -> None:
    form = {"model": "", "stream": "true", "response_format": "text", "chunk": chunk}
    data = recording(CITIES).read_bytes()
    sound = {"file": ("audio.wav", data, "audio/wav")}
    pieces = []
    with httpx2.stream("POST", ears.url, headers={"X-API-KEY": "EMPTY"}, data=form, files=sound, timeout=60) as answer:
        for line in answer.iter_lines():
            if line.startswith("data: "):
                pieces.append(json.loads(line[6:])["text"])
    assert len(pieces) >= least
    assert word_errors(WORDS[CITIES], "".join(pieces)) <= 0.1
    assert "".join(pieces) == ears.post(data, chunk=chunk).json()["text"]


def test_curl(ears: Ears, beckett: Path) -> None:
    command = ["curl", "-s", ears.url, "-F", f"file=@{beckett}", "-F", "model=whisper-1", "-F", "response_format=text"]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    assert word_errors(WORDS[BECKETT], made.stdout) <= 0.1


def test_ten_megabytes(client: openai.OpenAI, beckett: Path) -> None:
    """Speech with five minutes of silence around it, at 16 bits and 16 kHz."""
    clip = load(beckett.read_bytes(), 60)
    sound = wav(Clip(bytes(5_200_000) + clip.pcm + bytes(5_200_000), clip.rate))
    heard = client.audio.transcriptions.create(model="whisper-1", file=("long.wav", sound))
    assert word_errors(WORDS[BECKETT], heard.text) <= 0.1


def test_whoever_leaves_a_stream_frees_the_engine(client: openai.OpenAI, ears: Ears, beckett: Path) -> None:
    """More streams than slots are left after their first words; the next client is heard."""
    for _ in range(3):
        with client.audio.transcriptions.create(model="whisper-1", file=recording(CITIES), stream=True) as stream:
            next(iter(stream))
    assert ears.post(beckett.read_bytes()).status_code == 200
    metrics = httpx2.get(f"{ears.server.url}/metrics").text
    running = re.search(r"^openai_proxy_requests_running\{.*whisper-base.*\} (\S+)", metrics, re.MULTILINE)
    assert running is not None
    assert float(running[1]) == 0


def zipped() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.wav", SOUND)
    return file.getvalue()


def claiming(rate: int, channels: int) -> bytes:
    """A WAV file whose head says that."""
    return SOUND[:22] + struct.pack("<HI", channels, rate) + SOUND[28:]


def playlist(text: str) -> bytes:
    return text.encode()


BAD = {
    "empty": b"",
    "three bytes": b"RIF",
    "a head alone": SOUND[:44],
    "a cut head": SOUND[:30],
    "no sound": tone(0.0),
    "garbage": bytes(range(256)) * 40,
    "garbage in a wav": b"RIFF\xff\xff\xff\xffWAVE" + bytes(range(256)) * 10,
    "garbage in a flac": b"fLaC" + bytes(range(256)) * 10,
    "garbage in an mp3": b"ID3\x04\x00\x00\x00\x00\x00\x00" + bytes(5000),
    "garbage in an ogg": b"OggS" + bytes(range(256)) * 10,
    "garbage in an m4a": b"\x00\x00\x00\x18ftypM4A " + bytes(5000),
    "garbage in a webm": b"\x1a\x45\xdf\xa3" + bytes(5000),
    "a zip": zipped(),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(500),
    "text": b"What was said?\n",
    "m3u8": playlist("#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nfile:///etc/passwd\n"),
    "concat": playlist("ffconcat version 1.0\nfile /etc/passwd\n"),
    "sdp": playlist("v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nm=audio 9 RTP/AVP 0\n"),
    "pls": playlist("[playlist]\nFile1=http://127.0.0.1/x.mp3\nNumberOfEntries=1\n"),
    "mpd": playlist('<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>'),
    "no rate": claiming(0, 1),
    "a rate of 4 GHz": claiming(2**32 - 1, 1),
    "no channel": claiming(16_000, 0),
    "65535 channels": claiming(16_000, 65_535),
    "a rate above the highest": tone(0.1, rate=384_000),
    "nine channels": tone(0.1, channels=9),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_refused_by_its_field(ears: Ears, kind: str) -> None:
    ways: list[dict[str, Any]] = [{}, {"stream": "true"}, {"stream": "true", "chunk": "interval"}]
    for fields in ways:
        answer = ears.post(BAD[kind], "speech.mp3", **fields)
        assert answer.status_code == 400, answer.text
        assert answer.json()["error"]["param"] == "file"
        assert answer.json()["error"]["code"] in ("invalid_audio", "invalid_value")
    assert list(ears.folder.iterdir()) == []


def test_the_most_channels_and_the_highest_rate_are_heard(ears: Ears, beckett: Path) -> None:
    high = load(beckett.read_bytes(), 60, 192_000)
    samples = memoryview(high.pcm).cast("h")
    data = b"".join(struct.pack("<h", sample) * 8 for sample in samples[: 2 * 192_000])
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        2**32 - 1,
        b"WAVE",
        b"fmt ",
        16,
        1,
        8,
        192_000,
        3_072_000,
        16,
        16,
        b"data",
        2**32 - 1,
    )
    # The head's length is open, as one that is written before the sound is.
    answer = ears.post(head + data, "speech.txt")
    assert answer.status_code == 200
    assert "ever" in answer.json()["text"].lower()


def test_nothing_is_left_behind(ears: Ears) -> None:
    assert list(ears.folder.iterdir()) == []
