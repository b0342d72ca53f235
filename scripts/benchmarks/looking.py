"""Pictures that come in: what decoding them does to another stream's tokens, and how many of their words are read."""

from __future__ import annotations

import argparse
import base64
import http.client
import io
import itertools
import json
import random
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins
from PIL import Image, ImageFilter
from pinned import Pinned

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.scenes import scenes, share_read

MOST_DELAY_MS, LEAST_SHARE = 50.0, 0.9
PHOTOS, SIDES = 8, (4000, 3000)
BEAT, BEATS = 0.01, 600
CONFIG = """
[server]
log_format = "json"

[limits]
body_bytes = 64000000

[models.echo]
backend = "echo"

[models.reader]
backend = "echo"
vision = "ocr"
options = { modalities = [] }
"""


class Stall(Struct):
    """How much later than its beat a token came at most, and 99 of 100 at most, in ms."""

    case: str
    worst: float
    p99: float


class Words(Struct):
    """Shares of words that were read, with and without regard to spaces, and seconds a picture (median, most)."""

    pictures: int
    share: float
    strict: float
    median: float
    most: float


def asked(port: int, body: dict[str, Any]) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"the server answered {answer.status}: {answer.read()[:300]!r}")
    return answer


def shown(model: str, data: bytes, kind: str) -> dict[str, Any]:
    url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    return {
        "model": model,
        "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}],
    }


def photo(seed: int) -> bytes:
    """Twelve megapixels that no decoder has seen before."""
    random.seed(seed)
    rough = Image.effect_noise((SIDES[0] // 4, SIDES[1] // 4), 60 + seed).filter(ImageFilter.GaussianBlur(1))
    fine = Image.effect_noise(SIDES, 25)
    grey = Image.blend(rough.resize(SIDES, Image.Resampling.BICUBIC), fine, 0.4)
    file = io.BytesIO()
    Image.merge("RGB", [grey, grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT), grey]).save(file, "JPEG", quality=88)
    return file.getvalue()


def stall(port: int, case: str, bodies: list[dict[str, Any]]) -> Stall:
    """The delays of one stream's tokens while these are asked, all at once, one second after it began."""
    script = {"text": "word " * BEATS, "delay": BEAT}
    stream = asked(
        port, {"model": "echo", "messages": [{"role": "user", "content": "x"}], "script": script, "stream": True}
    )
    texts = [json.dumps(body).encode() for body in bodies]
    others = [threading.Thread(target=_post, args=(port, text)) for text in texts]
    times = []
    begun = time.monotonic()
    for line in stream:
        if line.startswith(b"data: {"):
            times.append(time.monotonic())
        if others and times and times[-1] > begun + 1 and not others[0].ident:
            for other in others:
                other.start()
    for other in others:
        other.join()
    gaps = sorted(max(0.0, after - before - BEAT) * 1000 for before, after in itertools.pairwise(times))
    return Stall(case, round(gaps[-1], 1), round(gaps[int(len(gaps) * 0.99)], 1))


def _post(port: int, text: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    connection.request("POST", "/v1/chat/completions", text, {"content-type": "application/json"})
    answer = connection.getresponse()
    data = answer.read()
    if answer.status != 200:
        print(f"the server answered {answer.status}: {data[:300]!r}", file=sys.stderr)


def words(port: int) -> Words:
    """All scenes, one after the other, by the blocks that `echo` says back."""
    total, read, strict, times = 0, 0.0, 0.0, []
    for scene in scenes():
        kind = "jpeg" if scene.data.startswith(b"\xff\xd8") else "png"
        begun = time.monotonic()
        said = json.load(asked(port, shown("reader", scene.data, kind)))["choices"][0]["message"]["content"]
        times.append(time.monotonic() - begun)
        rows = "\n".join(row for row in said.splitlines() if row.startswith("> "))
        share = share_read(scene.words, rows)
        total += len(scene.words)
        read += share * len(scene.words)
        strict += sum(word in rows.split() for word in scene.words)
        if share < 1:
            print(f"{scene.name}: {share:.0%} of the words", file=sys.stderr)
    times.sort()
    return Words(len(times), round(read / total, 3), round(strict / total, 3), times[len(times) // 2], times[-1])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when tokens come too late or too few words are read."""
    with tempfile.TemporaryDirectory() as name:
        config = Path(name, "config.toml")
        config.write_text(CONFIG)
        photos = [photo(seed) for seed in range(2 * PHOTOS)]
        server = Pinned(["-m", "openai_proxy", "serve", "--port", "0", "--config", str(config)], Path(name, "log"))
        try:
            first = shown("reader", scenes()[0].data, "png")
            stalls = [
                stall(server.port, "nothing else", []),
                stall(server.port, "the reader starts and reads", [first]),
                stall(
                    server.port, f"{PHOTOS} photos decoded", [shown("echo", each, "jpeg") for each in photos[:PHOTOS]]
                ),
                stall(
                    server.port, f"{PHOTOS} photos read", [shown("reader", each, "jpeg") for each in photos[PHOTOS:]]
                ),
            ]
            found = words(server.port)
            memory = server.memory() / 1000
        finally:
            server.stop()
    if arguments.json:
        print(json.dumps(to_builtins({"stalls": stalls, "words": found, "megabytes": memory}), indent=1))
    else:
        print(f"{'tokens later than their beat, ms':34}{'most':>8}{'p99':>8}")
        for each in stalls:
            print(f"{each.case:34}{each.worst:8.1f}{each.p99:8.1f}")
        print(f"{found.pictures} pictures: {found.share:.1%} of the words, {found.strict:.1%} with their spaces")
        print(f"{found.median:.2f} s a picture, {found.most:.2f} s at most; the server has {memory:.0f} MB")
    late = any(each.worst - stalls[0].worst > MOST_DELAY_MS for each in stalls[1:])
    return int(late or found.share < LEAST_SHARE)
