"""What the backend `echo` draws: each parameter changes the picture, and nothing else does."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest
from PIL import Image as Pillow

import vision
from backends import Setup
from backends.echo import Echo
from backends.errors import BadImage
from backends.events import Event, Outcome, Picture, Progress, Usage
from backends.requests import Image, ImageRequest
from tests.pictures import picture, saved


def sent(data: bytes) -> Image:
    seen = vision.inspect(data, vision.Limits())
    return Image(data, seen.media_type, seen.width, seen.height)


def draw(**fields: Any) -> list[Event]:
    async def gather() -> list[Event]:
        echo = Echo(Setup(name="echo"))
        await echo.start()
        return [event async for event in echo.run(ImageRequest(model="echo", **fields))]

    return asyncio.run(gather())


def pixels(data: bytes) -> Pillow.Image:
    return Pillow.open(io.BytesIO(data))


def drawn(**fields: Any) -> Pillow.Image:
    [found] = [event for event in draw(**fields) if isinstance(event, Picture)]
    return pixels(found.data)


def colour(place: tuple[int, int] = (32, 32), **fields: Any) -> Any:
    fields = {"prompt": "a", "width": 64, "height": 64, **fields}
    return drawn(**fields).getpixel(place)


def test_the_same_request_draws_the_same() -> None:
    assert colour() == colour() == colour(seed=0)
    assert drawn(prompt="a").size == (256, 256)
    assert drawn(prompt="a", width=1536, height=1024).size == (1536, 1024)


@pytest.mark.parametrize(
    "changed",
    [
        {"prompt": "b"},
        {"seed": 1},
        {"negative_prompt": "b"},
        {"guidance": 2.0},
        {"steps": 4},
        {"effort": 0.5},
        {"extra": {"style": "vivid"}},
    ],
)
def test_each_parameter_changes_it(changed: dict[str, Any]) -> None:
    assert colour(**changed) != colour()


def test_several_are_those_of_the_next_seeds_and_unfinished_ones_come_before() -> None:
    events = draw(prompt="one two", negative_prompt="three", n=2, partial=2, width=64, height=64)
    assert isinstance(events[0], Progress)
    assert [(event.index, event.partial) for event in events if isinstance(event, Picture)] == [
        *((0, 0), (0, 1), (0, None)),
        *((1, 0), (1, 1), (1, None)),
    ]
    assert events[-1] == Usage(prompt=3, completion=8)
    whole = [pixels(event.data) for event in events if isinstance(event, Picture)]
    assert whole[0].getpixel((0, 20)) == whole[2].getpixel((0, 20)) != whole[0].getpixel((0, 22)) == (128, 128, 128)
    assert whole[5].getpixel((0, 0)) == colour(seed=1, prompt="one two", negative_prompt="three")


def test_transparent_pictures_are() -> None:
    shown = drawn(prompt="a", transparent=True)
    assert [shown.getpixel(place)[3] for place in ((0, 0), (128, 128))] == [0, 255]  # type: ignore[index]


def test_an_edit_changes_what_the_mask_lets_it_and_as_far_as_strength_says() -> None:
    mask = Pillow.new("RGBA", (64, 64), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 32, 64))
    fields = {"task": "edit", "images": (sent(picture(size=(64, 64), colour="white")),), "mask": sent(saved(mask))}
    assert colour((48, 32), **fields) == (255, 255, 255)
    assert colour((16, 32), **fields) != (255, 255, 255)
    assert colour((16, 32), strength=1.0, **fields) == colour(task="edit")
    assert colour((16, 32), strength=0.0, **fields) == (255, 255, 255)


def test_a_variation_keeps_the_size_and_other_images_shine_through() -> None:
    white, black = (sent(picture(size=(64, 96), colour=name)) for name in ("white", "black"))
    shown = drawn(task="vary", images=(white,), strength=0.0)
    assert (shown.size, shown.getpixel((0, 0))) == ((64, 96), (255, 255, 255))
    assert drawn(task="edit", images=(white, black), strength=0.0).getpixel((0, 0)) == (127, 127, 127)
    usage = draw(task="vary", images=(white,))[-1]
    assert usage == Usage(prompt=6, completion=6, pictures=6)


@pytest.mark.parametrize("field", ["image", "mask"])
def test_what_is_damaged_is_named(field: str) -> None:
    good = saved(Pillow.effect_noise((64, 64), 50))
    bad = Image(good[:60] + bytes(100) + good[160:], "image/png", 64, 64)
    fields: dict[str, Any] = {"images": (bad,)} if field == "image" else {"images": (sent(good),), "mask": bad}
    with pytest.raises(BadImage) as caught:
        draw(task="edit", prompt="a", **fields)
    assert caught.value.param == field


def test_the_outcome_has_the_finished_pictures() -> None:
    async def gather() -> Outcome:
        echo = Echo(Setup(name="echo"))
        await echo.start()
        return await Outcome.of(echo.run(ImageRequest(model="echo", prompt="a", n=2, partial=1)))

    assert [pixels(data).size for data in asyncio.run(gather()).pictures] == [(256, 256)] * 2
