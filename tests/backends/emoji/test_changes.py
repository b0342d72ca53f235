"""Pictures that come from pictures: edits, with a mask and without, and variations."""

from __future__ import annotations

from typing import Any

import numpy as np
import openai
import pytest
from PIL import Image

from tests.backends.emoji.drawings import colour, drawn, nearest, opened, pixels
from tests.pictures import picture, saved

SIZE = (256, 256)


@pytest.fixture(scope="module")
def apple(artist: openai.OpenAI) -> Image.Image:
    return drawn(artist, "a red apple", size="256x256")


def edit(artist: openai.OpenAI, own: Image.Image, prompt: str, **fields: Any) -> Image.Image:
    extra = {"seed": 3, **fields.pop("extra_body", {})}
    image = ("a.png", saved(own), "image/png")
    answer = artist.images.edit(model="emoji", image=image, prompt=prompt, extra_body=extra, **fields)
    assert answer.data is not None
    return opened(answer.data[0])


def right_half() -> bytes:
    """The right half may change."""
    mask = Image.new("RGBA", SIZE, (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (SIZE[0] // 2, 0, *SIZE))
    return saved(mask)


def test_an_edit(artist: openai.OpenAI, apple: Image.Image) -> None:
    green = edit(artist, apple, "a green apple")
    assert green.size == SIZE
    assert nearest(green) == "red apple"
    assert colour(green)[1] > colour(green)[0]


def test_a_mask_protects(artist: openai.OpenAI, apple: Image.Image) -> None:
    green = edit(artist, apple, "a green frog", mask=("m.png", right_half(), "image/png"))
    before, after, half = pixels(apple), pixels(green), SIZE[0] // 2
    assert (before[:, :half] == after[:, :half]).all()
    assert np.abs(after[:, half:] - before[:, half:]).mean() > 20


def test_strength(artist: openai.OpenAI, apple: Image.Image) -> None:
    apart = [
        np.abs(pixels(edit(artist, apple, "a blue heart", extra_body={"strength": strength})) - pixels(apple)).mean()
        for strength in (0.0, 0.5, 1.0)
    ]
    assert apart[0] == 0
    assert apart[0] < apart[1] < apart[2]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_to_vary(artist: openai.OpenAI, apple: Image.Image) -> None:
    """To `vary` a picture is not to copy it."""
    answer = artist.images.create_variation(
        model="emoji", image=("a.png", saved(apple), "image/png"), n=2, size="256x256", extra_body={"seed": 4}
    )
    assert answer.data is not None
    one, two = map(opened, answer.data)
    assert one.tobytes() != two.tobytes()
    assert {nearest(one), nearest(two)} == {"red apple"}
    assert answer.usage is not None
    assert answer.usage.input_tokens_details.image_tokens == 64


def test_any_picture_may_be_changed(artist: openai.OpenAI) -> None:
    own = Image.new("RGB", (300, 40), "navy")
    assert edit(artist, own, "a cat").size == (300, 40)
    assert edit(artist, own, "a cat", size="512x512").size == (512, 512)


def test_two_pictures_are_refused(artist: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        artist.images.edit(model="emoji", image=[picture(), picture()], prompt="a cat")
    assert refused.value.param == "image"
