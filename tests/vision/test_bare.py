"""What is left of a file before a decoder sees it, and how long that takes."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import vision
from tests.pictures import picture, saved
from vision import BadPicture
from vision.bare import MOST_PIECES, MOST_SCANS, Malformed, bare

SIZE = (64, 48)
SECRET = b"a secret place"
HEADS = [b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF\x40\0\0\0WEBP"]


def colours() -> Image.Image:
    return Image.radial_gradient("L").resize(SIZE).convert("RGB")


def chunk(kind: bytes, content: bytes = b"") -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def scanned(scans: int) -> bytes:
    """A progressive JPEG whose last scan is there so many times that it has `scans`."""
    data = saved(colours(), "JPEG", progressive=True)
    last = data[data.rfind(b"\xff\xda") : -2]
    return data[:-2] + last * (scans - data.count(b"\xff\xda")) + data[-2:]


def pixels(data: bytes) -> bytes:
    return Image.open(io.BytesIO(data)).convert("RGBA").tobytes()


@pytest.mark.parametrize(
    "data",
    [
        saved(colours(), "PNG"),
        saved(colours().quantize(8), "PNG", transparency=1),
        saved(colours(), "JPEG"),
        saved(colours().convert("CMYK"), "JPEG"),
        saved(colours(), "JPEG", progressive=True, restart_marker_rows=1),
        saved(colours(), "GIF"),
        saved(colours().quantize(8), "GIF", transparency=1),
        saved(colours(), "WEBP"),
        saved(colours().convert("RGBA"), "WEBP", lossless=True),
        saved(Image.new("RGBA", SIZE, (9, 9, 9, 9)), "WEBP"),
    ],
)
def test_the_picture_is_the_same(data: bytes) -> None:
    wanted = bare(data)
    assert pixels(wanted.whole()) == pixels(data)
    with Image.open(io.BytesIO(wanted.head)) as opened:
        assert opened.size == SIZE


def test_what_opens_a_picture_is_short_however_large_it_is() -> None:
    noise = Image.frombytes("RGB", (300, 300), random.randbytes(270_000))
    for format_, longest in (("PNG", 100), ("JPEG", 1000)):
        data = saved(noise, format_)
        assert len(data) > 50_000
        assert len(bare(data).head) < longest


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_what_is_no_picture_is_left_out(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = SECRET.decode()
    data = saved(colours(), kind, exif=exif, comment=SECRET, icc_profile=SECRET, xmp=SECRET) + SECRET
    assert data.count(SECRET) > 1
    assert SECRET not in bare(data).whole()


def test_pieces_of_a_png() -> None:
    head, rest = picture()[:33], picture()[33:]
    assert vision.load(head + chunk(b"abCd") * (MOST_PIECES - 10) + rest).size == (60, 40)
    for kind in (b"abCd", b"IDAT"):
        with pytest.raises(BadPicture, match="many pieces"):
            vision.load(head + chunk(kind) * MOST_PIECES + rest)


def test_pixels_in_many_pieces() -> None:
    row = zlib.compress(bytes(3 * 60 * 40 + 40))
    head = picture()[:33]
    data = head + b"".join(chunk(b"IDAT", row[at : at + 1]) for at in range(len(row))) + chunk(b"IEND")
    assert vision.load(data).getpixel((0, 0)) == (0, 0, 0)


def test_scans_of_a_jpeg() -> None:
    """A hundred bytes more cost as much as a whole decoding."""
    assert vision.load(scanned(MOST_SCANS)).size == SIZE
    with pytest.raises(BadPicture, match=f"more than {MOST_SCANS} scans"):
        vision.load(scanned(MOST_SCANS + 1))


def test_segments_of_a_jpeg() -> None:
    data = picture("JPEG")
    comment = b"\xff\xfe\0\2"
    assert vision.load(data[:2] + comment * 50_000 + data[2:]).size == (60, 40)
    with pytest.raises(BadPicture, match="many pieces"):
        vision.load(data[:2] + comment * MOST_PIECES + data[2:])


def test_what_follows_a_jpeg_is_not_counted() -> None:
    assert vision.load(picture("JPEG") + b"\xff\xda" * 1000).size == (60, 40)


def test_a_gif_full_of_comments() -> None:
    data = picture("GIF")
    at = 13 + (3 << ((data[10] & 7) + 1))
    comment = b"\x21\xfe" + b"\x01c" * (MOST_PIECES - 10) + b"\0"
    assert vision.load(data[:at] + comment + data[at:]).size == (60, 40)
    for much in (comment[:-1] + b"\x01c" * 10 + b"\0", b"\x21\xfe\0" * MOST_PIECES):
        with pytest.raises(BadPicture, match="many pieces"):
            vision.load(data[:at] + much + data[at:])


def test_a_directory_full_of_tags() -> None:
    """Each says that it is as long as the file."""
    count = 60_000
    tags = b"".join(struct.pack("<HHII", tag, 1, 900_000, 8) for tag in range(0x1000, 0x1000 + count))
    exif = b"II*\0" + struct.pack("<IH", 8, count) + tags + bytes(900_000)
    data = picture()
    assert vision.load(data[:33] + chunk(b"eXIf", exif) + data[33:]).size == (60, 40)


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"II*\0",
        b"II*\0\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x09\0\0",
        b"MM\0*\0\0\0\x08\0\2",
    ],
)
def test_a_broken_orientation_is_none(exif: bytes) -> None:
    data = picture()
    assert bare(data[:33] + chunk(b"eXIf", exif) + data[33:]).orientation == 1


@given(st.sampled_from(HEADS), st.binary(max_size=300))
def test_any_bytes(head: bytes, rest: bytes) -> None:
    with contextlib.suppress(Malformed):
        assert bare(head + rest).orientation in range(1, 9)
