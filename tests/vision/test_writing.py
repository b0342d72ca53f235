"""Pictures as files: each format, what is laid over white, and what goes through untouched."""

from __future__ import annotations

import asyncio
import io

import pytest
from PIL import Image

import vision
from tests.pictures import picture, saved
from vision import BadPicture, Written

CLEAR = picture(mode="RGBA", colour=(255, 0, 0, 0))
NOISE = saved(Image.effect_noise((64, 48), 50).convert("RGB"))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("kind", vision.FORMATS)
def test_each_format(kind: str) -> None:
    made = vision.written(NOISE, kind, 90)
    assert (made.width, made.height, made.transparent) == (64, 48, False)
    assert vision.inspect(made.data, vision.Limits()).media_type == vision.FORMATS[kind]
    assert opened(made.data).size == (64, 48)


@pytest.mark.parametrize("kind", ["jpeg", "webp"])
def test_lower_quality_takes_less(kind: str) -> None:
    sizes = [len(vision.written(NOISE, kind, quality).data) for quality in (0, 50, 100)]
    assert sizes == sorted(set(sizes))


def test_a_png_that_stays_one_is_not_touched() -> None:
    assert vision.written(NOISE) == Written(NOISE, 64, 48, transparent=False)
    assert vision.written(CLEAR) == Written(CLEAR, 60, 40, transparent=True)


@pytest.mark.parametrize("kind", vision.FORMATS)
def test_transparent_pixels_become_white_where_they_must(kind: str) -> None:
    made = vision.written(CLEAR, kind, 100, opaque=True)
    assert not made.transparent
    assert opened(made.data).convert("RGB").getpixel((5, 5)) == (255, 255, 255)
    kept = vision.written(CLEAR, kind, 100)
    assert kept.transparent is (kind != "jpeg")
    assert opened(kept.data).convert("RGBA").getpixel((5, 5))[3] == (255 if kind == "jpeg" else 0)  # type: ignore[index]


@pytest.mark.parametrize(("mode", "colour"), [("L", 128), ("LA", (128, 0)), ("P", 3), ("1", 1), ("I;16", 30_000)])
def test_every_mode_can_be_written(mode: str, colour: int) -> None:
    data = picture(mode=mode, colour=colour)
    for kind in vision.FORMATS:
        assert opened(vision.written(data, kind).data).size == (60, 40)


def test_what_is_damaged_is_refused() -> None:
    for data in (NOISE[:100], NOISE[:1000] + bytes(100) + NOISE[1100:]):
        with pytest.raises(BadPicture):
            vision.written(data, "jpeg")


def test_pixels_are_made_and_given_as_png() -> None:
    assert opened(vision.png(vision.blank((3, 2), (1, 2, 3)))).getpixel((2, 1)) == (1, 2, 3)
    assert vision.blank((3, 2), 7).getpixel((0, 0)) == 7


def test_the_alpha_of_a_mask_is_read_upright() -> None:
    mask = Image.new("RGBA", (60, 40), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6
    found = vision.alpha(saved(mask, exif=exif))
    assert (found.mode, found.size) == ("L", (40, 60))
    assert [found.getpixel(place) for place in ((39, 0), (0, 0))] == [0, 255]
    seen = vision.inspect(saved(mask, exif=exif), vision.Limits())
    assert (seen.transparent, seen.orientation, seen.upright) == (True, 6, (40, 60))
    assert not vision.inspect(picture(), vision.Limits()).transparent


def test_work_is_done_in_a_thread_of_its_own() -> None:
    assert asyncio.run(vision.soon(vision.written, NOISE, "webp", 50)).width == 64
