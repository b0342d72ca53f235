"""Every field that the backend honours has its effect."""

from __future__ import annotations

from typing import Any

import numpy as np
import openai
import pytest

from tests.backends.emoji.drawings import colour, drawn, nearest, opened, pixels

SIZES = ["64x64", "128x128", "256x256", "512x512", "1024x1024", "1024x1536", "1536x1024", "1024x1792", "1792x1024"]


def test_seed_and_n(artist: openai.OpenAI) -> None:
    one, again, other = (drawn(artist, "a face", extra_body={"seed": seed}).tobytes() for seed in (1, 1, 2))
    assert one == again != other
    more = {"seed": 1}
    answer = artist.images.generate(model="dall-e-3", prompt="a face", n=10, size="64x64", extra_body=more)
    assert answer.data is not None
    pictures = [opened(item) for item in answer.data]
    assert len({picture.tobytes() for picture in pictures}) == 10
    # The second of one seed is the first of the next.
    assert np.abs(pixels(pictures[0]) - pixels(drawn(artist, "a face", extra_body=more))).max() < 3
    assert np.abs(pixels(pictures[1]) - pixels(drawn(artist, "a face", extra_body={"seed": 2}))).max() < 3


@pytest.mark.parametrize("size", SIZES)
def test_sizes(artist: openai.OpenAI, size: Any) -> None:
    picture = drawn(artist, "a red apple", size=size)
    assert picture.size == tuple(map(int, size.split("x")))
    short = min(picture.size)
    left, top = (picture.width - short) // 2, (picture.height - short) // 2
    assert nearest(picture.crop((left, top, left + short, top + short))) == "red apple"
    assert picture.getpixel((2, 2)) > (240, 240, 240)  # type: ignore[operator]


def test_other_sizes_are_refused_with_the_list(artist: openai.OpenAI) -> None:
    for size in ("1x1", "100000x100000"):
        with pytest.raises(openai.BadRequestError, match="this model draws 64x64, 128x128") as refused:
            drawn(artist, "a cat", size=size)
        assert refused.value.param == "size"


def test_transparent(artist: openai.OpenAI) -> None:
    picture = drawn(artist, "a red heart", background="transparent", size="256x256")
    assert picture.mode == "RGBA"
    assert picture.getpixel((3, 3))[3] < 10  # type: ignore[index]
    assert picture.getpixel((128, 128))[3] > 245  # type: ignore[index]
    assert picture.getpixel((128, 128))[0] > 150  # type: ignore[index]


def test_steps_and_effort(artist: openai.OpenAI) -> None:
    """`steps`, and `effort` by `quality`."""
    few, more = (drawn(artist, "a face", extra_body={"num_inference_steps": steps}) for steps in (6, 24))
    assert few.tobytes() != more.tobytes()
    assert few.tobytes() == drawn(artist, "a face", quality="low").tobytes()
    assert more.tobytes() == drawn(artist, "a face", quality="high").tobytes()


def test_guidance(artist: openai.OpenAI) -> None:
    """`guidance`: 0 is none."""
    free, led = (drawn(artist, "a banana", extra_body={"guidance_scale": scale}) for scale in (0, 1.5))
    assert nearest(led) == "banana"
    assert np.abs(pixels(free) - pixels(led)).mean() > 10


def test_negative_prompt(artist: openai.OpenAI) -> None:
    plain = colour(drawn(artist, "an apple"))
    away = colour(drawn(artist, "an apple", extra_body={"negative_prompt": "a red apple"}))
    assert plain[0] - plain[1] > 60
    assert away[1] > away[0]


def test_partial_pictures_and_usage(artist: openai.OpenAI) -> None:
    """`partial` pictures are nearer to the last one each."""
    stream = artist.images.generate(
        model="emoji", prompt="a red apple", size="128x128", stream=True, partial_images=2, extra_body={"seed": 1}
    )
    events: list[Any] = list(stream)
    assert [event.type.rpartition(".")[2] for event in events] == ["partial_image", "partial_image", "completed"]
    final = pixels(opened(events[-1]))
    apart = [np.abs(pixels(opened(event)) - final).mean() for event in events[:-1]]
    assert apart[0] > apart[1] > 0
    assert events[-1].usage.to_dict()["input_tokens"] == 3
    assert events[-1].usage.output_tokens == 64
