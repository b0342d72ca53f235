"""Pictures that nobody vouches for: what is read, how it comes out, and what is refused."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageSequence

import vision
from tests.pictures import picture, saved
from vision import BadPicture, Limits

KINDS = ("PNG", "JPEG", "WEBP", "GIF")
LIMITS = Limits()


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> bytes:
    """A PNG whose head says what one likes."""
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    made = b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in ((b"IHDR", head), *chunks, (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b""))
    )
    return b"\x89PNG\r\n\x1a\n" + made


@pytest.mark.parametrize("kind", KINDS)
def test_each_format_is_told_by_its_content(kind: str) -> None:
    data = picture(kind)
    assert vision.inspect(data, LIMITS) == vision.Seen(vision.MEDIA_TYPES[kind], 60, 40)
    loaded = vision.load(data)
    assert (loaded.mode, loaded.size) == ("RGB", (60, 40))
    red, green, blue = loaded.getpixel((30, 20))  # type: ignore[misc]
    assert red > 240
    assert green < 15
    assert blue < 15


@pytest.mark.parametrize("kind", ["BMP", "TIFF", "ICO", "PPM", "TGA", "PDF", "EPS", "JPEG2000"])
def test_other_formats_are_not_opened(kind: str) -> None:
    with pytest.raises(BadPicture, match="PNG, JPEG, WebP or GIF"):
        vision.inspect(picture(kind), LIMITS)


@pytest.mark.parametrize(
    "data", [b"", b"x", b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"\x89PNG\r\n\x1a\n", b"GIF89a"]
)
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(BadPicture):
        vision.inspect(data, LIMITS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_what_is_truncated_is_refused(kind: str, share: float) -> None:
    noise = Image.effect_noise((200, 200), 90).convert("RGB")
    data = saved(noise, kind)
    with pytest.raises(BadPicture):
        vision.load(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("width", "height", "fits"),
    [(100, 100, True), (101, 1, False), (1, 101, False), (100, 50, True), (80, 64, True), (100, 52, False)],
)
def test_limits_are_read_from_the_head(width: int, height: int, fits: bool) -> None:
    limits = Limits(pixels=10_000 if width == height else 5_120, side=100)
    if fits:
        assert vision.inspect(png(width, height), limits).width == width
    else:
        with pytest.raises(BadPicture, match=f"{width}x{height}"):
            vision.inspect(png(width, height), limits)


@pytest.mark.parametrize("size", [(2**31 - 1, 1), (65_535, 65_535), (10_000, 10_000), (14_000, 14_000)])
def test_bombs_are_refused_before_they_are_decoded(size: tuple[int, int]) -> None:
    with pytest.raises(BadPicture):
        vision.inspect(png(*size), LIMITS)


def test_a_bomb_of_text_is_left_alone() -> None:
    """A chunk of compressed text that is a thousand times larger when it is read."""
    bomb = b"Comment\0\0" + zlib.compress(bytes(200_000_000), 9)
    assert vision.load(png(2, 2, (b"zTXt", bomb), (b"iCCP", bomb))).size == (2, 2)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_the_first_frame_of_an_animation_is_shown(kind: str) -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    assert len(list(ImageSequence.Iterator(Image.open(io.BytesIO(data))))) == 2
    red, green, blue = vision.load(data).getpixel((5, 5))  # type: ignore[misc]
    assert red > 240
    assert green < 15
    assert blue < 15


@pytest.mark.parametrize(
    ("mode", "colour", "kind", "seen"),
    [
        ("L", 128, "PNG", (128, 128, 128)),
        ("1", 1, "PNG", (255, 255, 255)),
        ("I;16", 0x8080, "PNG", (128, 128, 128)),
        ("I;16", 0xFFFF, "PNG", (255, 255, 255)),
        ("CMYK", (0, 255, 255, 0), "JPEG", (255, 0, 0)),
        ("RGBA", (255, 0, 0, 0), "PNG", (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), "PNG", (255, 0, 0)),
        ("RGBA", (0, 0, 0, 128), "PNG", (127, 127, 127)),
        ("LA", (0, 0), "PNG", (255, 255, 255)),
    ],
)
def test_every_mode_becomes_rgb_over_white(mode: str, colour: Any, kind: str, seen: tuple[int, int, int]) -> None:
    found: Any = vision.load(picture(kind, mode=mode, colour=colour)).getpixel((5, 5))
    assert all(abs(a - b) <= 2 for a, b in zip(found, seen, strict=True)), found


def test_a_palette_with_a_transparent_colour_is_over_white() -> None:
    drawn = Image.new("P", (10, 10), 0)
    drawn.putpalette([255, 0, 0, 0, 0, 255] + [0] * 762)
    drawn.putpixel((5, 5), 1)
    loaded = vision.load(saved(drawn, transparency=0))
    assert (loaded.getpixel((0, 0)), loaded.getpixel((5, 5))) == ((255, 255, 255), (0, 0, 255))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("orientation", "corner"),
    [(1, (0, 0)), (2, (29, 0)), (3, (29, 19)), (4, (0, 19)), (5, (0, 0)), (6, (19, 0)), (7, (19, 29)), (8, (0, 29))],
)
def test_a_picture_is_turned_as_it_was_held(orientation: int, corner: tuple[int, int], kind: str) -> None:
    drawn = Image.new("RGB", (30, 20), "white")
    drawn.paste((0, 0, 0), (0, 0, 8, 8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    loaded = vision.load(saved(drawn, kind, exif=exif))
    assert loaded.size == ((20, 30) if orientation > 4 else (30, 20))
    assert all(colour < 60 for colour in loaded.getpixel(corner))  # type: ignore[union-attr]


def test_nothing_is_left_of_metadata() -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    loaded = vision.load(picture("JPEG", exif=exif, comment=b"secret", dpi=(72, 72)))
    assert loaded.info == {}
    assert not loaded.getexif()
    assert b"secret" not in saved(loaded, "PNG")


def test_a_file_that_is_two_things_is_the_picture_alone() -> None:
    loaded = vision.load(picture("JPEG") + b"<script>alert(1)</script>PK\x03\x04")
    assert loaded.size == (60, 40)


@given(st.binary(max_size=200), st.integers(0, 400), st.sampled_from(KINDS))
def test_damage_is_refused_or_harmless(noise: bytes, at: int, kind: str) -> None:
    data = picture(kind, (16, 16))
    at = min(at, len(data))
    broken = data[:at] + noise + data[at + len(noise) :]
    try:
        vision.inspect(broken, Limits(pixels=10_000, side=1000))
        assert vision.load(broken).mode == "RGB"
    except BadPicture:
        pass


@pytest.mark.parametrize(
    ("size", "side", "short", "wanted"),
    [
        ((60, 40), None, None, (60, 40)),
        ((60, 40), 60, 40, (60, 40)),
        ((60, 40), 30, None, (30, 20)),
        ((40, 60), 30, None, (20, 30)),
        ((60, 40), None, 10, (15, 10)),
        ((60, 40), 30, 10, (15, 10)),
        ((60, 40), 15, 30, (15, 10)),
        ((1000, 1), 10, None, (10, 1)),
    ],
)
def test_sizes_that_fit(size: tuple[int, int], side: int | None, short: int | None, wanted: tuple[int, int]) -> None:
    assert vision.fitted(size, side, short) == wanted


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mode", ["RGB", "P", "L"])
def test_pictures_are_shrunk(kind: str, mode: str) -> None:
    left = Image.new("RGB", (1200, 800), "red")
    left.paste("blue", (600, 0, 1200, 800))
    found = vision.load(saved(left.convert(mode) if kind != "JPEG" or mode != "P" else left, kind), 100)
    assert (found.mode, found.size) == ("RGB", (100, 67))
    assert _nearly(found.getpixel((20, 30)), left.convert(mode).convert("RGB").getpixel((300, 300)))
    assert _nearly(found.getpixel((80, 30)), left.convert(mode).convert("RGB").getpixel((900, 300)))


def _nearly(found: Any, wanted: Any) -> bool:
    return all(abs(one - other) < 12 for one, other in zip(found, wanted, strict=True))


def test_a_shrunk_picture_is_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = vision.load(picture("JPEG", (1200, 800), exif=exif), 100, 50)
    assert found.size == (50, 75)
