"""Pictures out, with the SDK: each field's effect and each shape of the answer."""

from __future__ import annotations

import base64
import io
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from PIL import Image

from tests.pictures import picture, saved
from tests.running import Running

GENERATIONS = "/v1/images/generations"
WHITE = picture(size=(64, 64), colour="white")


@pytest.fixture(scope="module")
def client(echo_server: Running) -> Iterator[openai.OpenAI]:
    with echo_server.client() as opened:
        yield opened


def mask() -> bytes:
    """The left half may change."""
    made = Image.new("RGBA", (64, 64), (0, 0, 0, 255))
    made.paste((0, 0, 0, 0), (0, 0, 32, 64))
    return saved(made)


def opened(item: Any) -> Image.Image:
    """The picture of an item, or of an event."""
    return Image.open(io.BytesIO(base64.b64decode(item.b64_json, validate=True)))


def generate(client: openai.OpenAI, **fields: Any) -> Any:
    return client.images.generate(**{"model": "echo", "prompt": "a red house", "size": "64x64", **fields})


def drawn(client: openai.OpenAI, **fields: Any) -> Any:
    """The colour in the middle of the one picture."""
    [item] = generate(client, **fields).data
    return opened(item).getpixel((32, 32))


def test_a_picture(client: openai.OpenAI) -> None:
    answer = client.images.generate(model="echo", prompt="a red house")
    assert answer.data is not None
    [item] = answer.data
    assert (item.url, opened(item).format, opened(item).size) == (None, "PNG", (256, 256))
    told = (answer.background, answer.output_format, answer.quality, answer.size)
    assert told == ("opaque", "png", "medium", "256x256")
    assert answer.usage is not None
    assert answer.usage.to_dict() == {
        "input_tokens": 3,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 3},
        "output_tokens": 64,
        "total_tokens": 67,
    }


def test_n_and_size_and_auto(client: openai.OpenAI) -> None:
    answer = generate(client, n=10, size="512x512")
    assert [opened(item).size for item in answer.data] == [(512, 512)] * 10
    assert answer.size == "512x512"
    assert len({opened(item).getpixel((0, 0)) for item in answer.data}) == 10
    assert generate(client, size="auto").size == "256x256"
    assert generate(client, n=None, size=None).size == "256x256"


@pytest.mark.parametrize("model", ["", None])
def test_an_empty_model_is_the_first_that_draws(client: openai.OpenAI, model: Any) -> None:
    assert drawn(client, model=model) == drawn(client)


def test_as_h2ogpt_asks(client: openai.OpenAI) -> None:
    more = {"guidance_scale": 3.0, "num_inference_steps": 30}
    answer = generate(client, model="", quality="standard", response_format="b64_json", extra_body=more)
    assert opened(answer.data[0]).size == (64, 64)


@pytest.mark.parametrize(("kind", "format"), [("png", "PNG"), ("jpeg", "JPEG"), ("webp", "WEBP")])
def test_each_output_format(client: openai.OpenAI, kind: Any, format: str) -> None:
    answer = generate(client, output_format=kind)
    assert (answer.output_format, opened(answer.data[0]).format) == (kind, format)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_output_compression(client: openai.OpenAI, kind: Any) -> None:
    sent = saved(Image.effect_noise((64, 64), 80).convert("RGB"))
    sizes = []
    for compression in (0, 50, 100):
        asked: dict[str, Any] = {"output_format": kind, "output_compression": compression, "size": "64x64"}
        edited = client.images.edit(model="echo", prompt="a", image=("a.png", sent), **asked)
        sizes.append(len(edited.data[0].b64_json))
    assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_backgrounds(client: openai.OpenAI, kind: Any) -> None:
    clear = generate(client, background="transparent", output_format=kind)
    assert clear.background == "transparent"
    assert opened(clear.data[0]).convert("RGBA").getpixel((0, 0))[3] == 0  # type: ignore[index]
    for background in ("opaque", "auto"):
        full = generate(client, background=background, output_format=kind)
        assert full.background == "opaque"
        assert opened(full.data[0]).mode == "RGB"


@pytest.mark.parametrize(
    ("quality", "told"),
    [
        *((word, "medium") for word in ("auto", "standard", "medium")),
        *((word, "high") for word in ("hd", "high")),
        *((word, word) for word in ("low", "xhigh", "max")),
    ],
)
def test_quality_is_a_share_of_the_models_own_steps(client: openai.OpenAI, quality: Any, told: str) -> None:
    answer = generate(client, quality=quality)
    assert answer.quality == told
    steps = {"low": 10, "medium": 20, "high": 40, "xhigh": 60, "max": 80}[told]
    if told == "medium":
        assert opened(answer.data[0]).getpixel((0, 0)) == drawn(client)
    else:
        assert opened(answer.data[0]).getpixel((0, 0)) == drawn(client, extra_body={"num_inference_steps": steps})


@pytest.mark.parametrize(
    "fields",
    [
        {"style": "vivid"},
        {"style": "natural"},
        {"extra_body": {"seed": 7}},
        {"extra_body": {"guidance_scale": 7.5}},
        {"extra_body": {"num_inference_steps": 4}},
        {"extra_body": {"negative_prompt": "trees"}},
    ],
)
def test_what_changes_a_picture(client: openai.OpenAI, fields: Any) -> None:
    assert drawn(client, **fields) == drawn(client, **fields) != drawn(client)


@pytest.mark.parametrize(
    "fields", [{"moderation": "low"}, {"moderation": "auto"}, {"user": "u"}, {"safety_identifier": "s"}]
)
def test_what_is_accepted_without_effect(client: openai.OpenAI, fields: Any) -> None:
    assert drawn(client, **fields) == drawn(client)


def test_an_edit(client: openai.OpenAI, tmp_path: Path) -> None:
    path = tmp_path / "weiß.png"
    path.write_bytes(WHITE)
    with path.open("rb") as file:
        answer = client.images.edit(
            model="echo", image=file, mask=("mask.png", mask(), "image/png"), prompt="a door", n=2, user="u"
        )
    assert answer.data is not None
    for item in answer.data:
        made = opened(item)
        assert made.size == (64, 64)
        assert made.getpixel((48, 32)) == (255, 255, 255)
        assert made.getpixel((16, 32)) != (255, 255, 255)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.input_tokens_details.image_tokens) == (6, 4)


def test_an_edit_of_several_pictures(client: openai.OpenAI) -> None:
    black = ("b.jpg", picture("JPEG", size=(32, 32), colour="black"), "image/jpeg")
    sent = [("a.webp", picture("WEBP", size=(64, 64), colour="white"), "image/webp"), black]
    answer = client.images.edit(model="echo", image=sent, prompt="a", extra_body={"strength": 0})
    assert answer.data is not None
    assert opened(answer.data[0]).getpixel((0, 0)) == (127, 127, 127)
    many = client.images.edit(model="echo", image=[black] * 16, prompt="a", size="64x64", n=1, quality="low")
    assert many.size == "64x64"


def test_strength(client: openai.OpenAI) -> None:
    def edited(strength: float) -> Any:
        more = {"strength": strength, "seed": 3}
        found = client.images.edit(model="echo", image=("a", WHITE), prompt="a", extra_body=more).data
        assert found is not None
        return opened(found[0]).getpixel((0, 0))

    whole = edited(1.0)
    assert edited(0.0) == (255, 255, 255)
    assert edited(0.5) == tuple((255 + value) // 2 for value in whole) or edited(0.5) != whole


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_variation(client: openai.OpenAI) -> None:
    answer = client.images.create_variation(
        model="echo", image=("a.png", WHITE), n=2, size="256x256", response_format="b64_json", user="u"
    )
    assert answer.data is not None
    colours = [opened(item).getpixel((0, 0)) for item in answer.data]
    assert len({*colours, (255, 255, 255)}) == 3
    again = client.images.create_variation(image=("a.png", WHITE), extra_body={"seed": 1, "output_format": "webp"})
    assert again.output_format == "webp"
    assert again.size == "64x64"


@pytest.mark.parametrize("partial", [0, 1, 3, None])
def test_a_stream(client: openai.OpenAI, partial: Any) -> None:
    events = list(generate(client, stream=True, partial_images=partial, quality="high", output_format="webp"))
    *before, last = events
    assert [event.type for event in before] == ["image_generation.partial_image"] * (partial or 0)
    assert [event.partial_image_index for event in before] == list(range(partial or 0))
    assert last.type == "image_generation.completed"
    assert last.usage.total_tokens == 7
    for event in events:
        told = (event.background, event.output_format, event.quality, event.size)
        assert told == ("opaque", "webp", "high", "64x64")
        assert opened(event).format == "WEBP"


def test_a_stream_of_an_edit(client: openai.OpenAI) -> None:
    events = list(
        client.images.edit(
            model="echo", image=("a.png", WHITE), mask=("m.png", mask()), prompt="a", stream=True, partial_images=1
        )
    )
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]
    assert opened(events[1]).getpixel((48, 32)) == (255, 255, 255)


def test_a_stream_of_several(client: openai.OpenAI) -> None:
    events = list(generate(client, stream=True, n=3))
    assert [event.type for event in events] == ["image_generation.completed"] * 3
    assert [event.usage.total_tokens for event in events] == [0, 0, 15]


def test_a_stream_as_curl_sees_it(echo_server: Running) -> None:
    body = {"model": "echo", "prompt": "a", "size": "64x64", "stream": True, "partial_images": 1}
    head = {"content-type": "application/json"}
    request = urllib.request.Request(echo_server.url + GENERATIONS, json.dumps(body).encode(), head)
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        partial, completed, rest = answer.read().split(b"\n\n")
    assert partial.startswith(b'event: image_generation.partial_image\ndata: {"type":"image_generation.partial_image"')
    assert completed.startswith(b"event: image_generation.completed\ndata: {")
    assert rest == b""
