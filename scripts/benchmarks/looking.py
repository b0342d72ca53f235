"""Pictures that come in: what decoding them does to another stream's tokens, and how many of their words are read."""

from __future__ import annotations

import argparse
import base64
import io
import json
import random
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

from msgspec import Struct, to_builtins
from PIL import Image, ImageFilter
from pinned import Pinned
from stalls import Stall, read, stall

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.scenes import scenes, share_read

MOST_DELAY_MS, LEAST_SHARE = 50.0, 0.9
PHOTOS, SIDES = 8, (4000, 3000)
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


class Words(Struct):
    """Shares of words that were read, with and without regard to spaces, and seconds a picture (median, most)."""

    pictures: int
    share: float
    strict: float
    median: float
    most: float


def shown(model: str, data: bytes, kind: str) -> bytes:
    """A chat with a picture."""
    url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    part = {"type": "image_url", "image_url": {"url": url}}
    return json.dumps({"model": model, "messages": [{"role": "user", "content": [part]}]}).encode()


def beside(port: int, case: str, chats: list[bytes]) -> Stall:
    """What another stream feels while these are answered, all at once."""
    return stall(port, "echo", case, [partial(_asked, port, chat) for chat in chats])


def _asked(port: int, chat: bytes, ended: threading.Event) -> bytes:
    return read(port, chat)


def photo(seed: int) -> bytes:
    """Twelve megapixels that no decoder has seen before."""
    random.seed(seed)
    rough = Image.effect_noise((SIDES[0] // 4, SIDES[1] // 4), 60 + seed).filter(ImageFilter.GaussianBlur(1))
    fine = Image.effect_noise(SIDES, 25)
    grey = Image.blend(rough.resize(SIDES, Image.Resampling.BICUBIC), fine, 0.4)
    file = io.BytesIO()
    Image.merge("RGB", [grey, grey.transpose(Image.Transpose.FLIP_LEFT_RIGHT), grey]).save(file, "JPEG", quality=88)
    return file.getvalue()


def words(port: int) -> Words:
    """All scenes, one after the other, by the blocks that `echo` says back."""
    total, found, strict, times = 0, 0.0, 0.0, []
    for scene in scenes():
        kind = "jpeg" if scene.data.startswith(b"\xff\xd8") else "png"
        begun = time.monotonic()
        said = json.loads(read(port, shown("reader", scene.data, kind)))["choices"][0]["message"]["content"]
        times.append(time.monotonic() - begun)
        rows = "\n".join(row for row in said.splitlines() if row.startswith("> "))
        share = share_read(scene.words, rows)
        total += len(scene.words)
        found += share * len(scene.words)
        strict += sum(word in rows.split() for word in scene.words)
        if share < 1:
            print(f"{scene.name}: {share:.0%} of the words", file=sys.stderr)
    times.sort()
    return Words(len(times), round(found / total, 3), round(strict / total, 3), times[len(times) // 2], times[-1])


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
            decoded = [shown("echo", each, "jpeg") for each in photos[:PHOTOS]]
            to_read = [shown("reader", each, "jpeg") for each in photos[PHOTOS:]]
            stalls = [
                beside(server.port, "nothing else", []),
                beside(server.port, "the reader starts and reads", [first]),
                beside(server.port, f"{PHOTOS} photos decoded", decoded),
                beside(server.port, f"{PHOTOS} photos read", to_read),
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
