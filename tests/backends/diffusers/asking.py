"""How tests ask for pictures, and look at them."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import openai
from PIL import Image, ImageChops, ImageStat

from tests.backends.remote.asking import happens, metrics
from tests.pictures import saved
from tests.running import Running

SIDE = 64


def opened(item: Any) -> Image.Image:
    """The picture of an item, or of an event."""
    return Image.open(io.BytesIO(base64.b64decode(item.b64_json, validate=True))).convert("RGB")


def generate(client: openai.OpenAI, **fields: Any) -> Any:
    """An answer of the model `draws`, always the same one."""
    asked = {"model": "draws", "prompt": "a red house", "size": "64x64", **fields}
    return client.images.generate(**asked | {"extra_body": {"seed": 5, **fields.get("extra_body", {})}})


def drawn(client: openai.OpenAI, **fields: Any) -> Image.Image:
    """Its one picture."""
    [item] = generate(client, **fields).data
    return opened(item)


@contextmanager
def busy(client: openai.OpenAI, server: Running, model: str = "draws") -> Iterator[None]:
    """While a picture of another size is drawn: what is asked for meanwhile waits together."""
    steps = f'engine_picture_steps_total{{model="{model}"}}'
    before = metrics(server)[steps]
    with ThreadPoolExecutor(1) as pool:
        drawing = pool.submit(generate, client, model=model, size="96x64", extra_body={"num_inference_steps": 60})
        happens(lambda: metrics(server)[steps] > before, 60)
        yield
        drawing.result()


def apart(one: Image.Image, other: Image.Image) -> float:
    """How far two pictures are from one another: the mean over all their pixels, 0 to 255."""
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean) / 3


def photograph() -> bytes:
    """A picture to change: red on the left and blue on the right."""
    return saved(photographed())


def photographed() -> Image.Image:
    made = Image.new("RGB", (SIDE, SIDE), (220, 30, 30))
    made.paste((30, 30, 220), (SIDE // 2, 0, SIDE, SIDE))
    return made


def mask() -> bytes:
    """The left half may change."""
    made = Image.new("RGBA", (SIDE, SIDE), (0, 0, 0, 255))
    made.paste((0, 0, 0, 0), (0, 0, SIDE // 2, SIDE))
    return saved(made)
