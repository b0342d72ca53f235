"""What a decoder needs of a file, and nothing else: metadata, further frames and what hangs behind are left out.

Decoders read metadata in many ways, and slowly: a million empty chunks cost a minute. Nothing is decoded here.
Sources: PNG (https://www.w3.org/TR/png-3/), JPEG (ITU-T T.81, annex B), GIF89a, WebP (RFC 9649).
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator

from msgspec import Struct

# Pieces that a file may have: encoders write a few hundred, a GIF one for every 255 bytes.
MOST_PIECES = 100_000
# Passes over the picture in a progressive JPEG: encoders make a dozen, and each costs as much as a whole decoding.
MOST_SCANS = 32
# Bytes of a JPEG's scan before its data: more than any has.
HEAD_OF_SCAN = 64
ORIENTATION = 0x0112
SHORT = 3
PNG_HEAD = b"\x89PNG\r\n\x1a\n"
PNG_NEEDED = (b"IHDR", b"PLTE", b"tRNS")
WEBP_NEEDED = (b"ANIM", b"ALPH", b"VP8 ", b"VP8L")
# In a WebP's head: that there are a colour profile, EXIF and XMP.
WEBP_METADATA = 0x20 | 0x08 | 0x04
SOI, EOI, SOS, APP0, APP1, APP14, COM = 0xD8, 0xD9, 0xDA, 0xE0, 0xE1, 0xEE, 0xFE
# JPEG: a marker that ends a scan's data, in which 0xFF is followed by zero or is a restart.
AFTER_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


class Bare(Struct, frozen=True):
    """A file without metadata, and how it has to be turned: EXIF's orientation, 1 to 8.

    `head` is as much of it as a decoder needs to open it; `whole` makes all of it, which costs a copy.
    """

    head: bytes
    whole: Callable[[], bytes]
    orientation: int = 1


class Malformed(ValueError):
    """The file's pieces do not fit together; the message says why in words for whoever sent it."""


def bare(data: bytes) -> Bare:
    """The same picture. Raises Malformed; of a format that is not known here all is left."""
    try:
        if data.startswith(PNG_HEAD):
            return _png(data)
        if data.startswith(b"\xff\xd8\xff"):
            return _jpeg(data)
        if data[:6] in (b"GIF87a", b"GIF89a"):
            return _at_once(_gif(data))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError) as error:
        raise _cut() from error
    return _at_once(data)


def _at_once(data: bytes, orientation: int = 1) -> Bare:
    return Bare(data, lambda: data, orientation)


def _cut() -> Malformed:
    return Malformed("it is damaged or not complete")


def _crowded() -> Malformed:
    return Malformed("it is made of too many pieces")


def _png(data: bytes) -> Bare:
    """The chunks of the picture itself; all of its data in one."""
    kept: list[bytes] = []
    pixels: list[memoryview] = []
    orientation = 1
    for kind, content in _png_chunks(data):
        if kind in PNG_NEEDED:
            kept.append(_chunk(kind, bytes(content)))
        elif kind == b"IDAT":
            pixels.append(content)
        elif kind == b"eXIf":
            orientation = _orientation(bytes(content))
    if not kept or not pixels:
        raise _cut()
    head = PNG_HEAD + b"".join(kept)

    def whole() -> bytes:
        return b"".join((head, _chunk(b"IDAT", b"".join(pixels)), _chunk(b"IEND", b"")))

    return Bare(head + _chunk(b"IDAT", b""), whole, orientation)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, memoryview]]:
    """Up to the end chunk."""
    at, view = len(PNG_HEAD), memoryview(data)
    for _ in range(MOST_PIECES):
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND":
            return
        end = at + 8 + size
        if end + 4 > len(data):
            raise _cut()
        yield kind, view[at + 8 : end]
        at = end + 4
    raise _crowded()


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(content, zlib.crc32(kind)))


def _jpeg(data: bytes) -> Bare:
    """The segments of the first picture, without those of applications but the two that say what its colours are."""
    kept: list[bytes | memoryview] = [data[:2]]
    orientation = 1
    scans = 0
    for marker, segment in _jpeg_segments(data):
        if marker == SOS:
            scans += 1
            if scans > MOST_SCANS:
                raise Malformed(f"it is coded in more than {MOST_SCANS} scans")
        elif marker == APP1 and bytes(segment[4:10]) == b"Exif\0\0" and orientation == 1:
            orientation = _orientation(bytes(segment[10:]))
        if marker in (APP0, APP14) or not (APP0 <= marker < 0xF0 or marker == COM):
            kept.append(segment)
    if not scans:
        raise _cut()
    kept.append(bytes((0xFF, EOI)))
    first = next(at for at, segment in enumerate(kept) if segment[1] == SOS)
    return Bare(b"".join((*kept[:first], kept[first][:HEAD_OF_SCAN])), lambda: b"".join(kept), orientation)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, memoryview]]:
    """Each up to the end of the picture with its marker; that of a scan with the data that follows."""
    at, view = 2, memoryview(data)
    for _ in range(MOST_PIECES):
        while data[at] == data[at + 1] == 0xFF:  # filling
            at += 1
        marker = data[at + 1]
        if data[at] != 0xFF or marker == 0:
            raise _cut()
        if marker == EOI:
            return
        end = at + 2
        if marker != SOI and not 0xD0 <= marker <= 0xD7 and marker != 1:
            end += struct.unpack_from(">H", data, at + 2)[0]
        if marker == SOS:
            following = AFTER_SCAN.search(data, end)
            if following is None:
                raise _cut()
            end = following.start()
        yield marker, view[at:end]
        at = end
    raise _crowded()


def _gif(data: bytes) -> bytes:
    """The head, how the first frame is shown, and that frame."""
    at = 13 + _colours(data[10])
    head, shown = data[:at], b""
    for _ in range(MOST_PIECES):
        begin = at
        if data[at] == 0x2C:
            end = _gif_blocks(data, at + 11 + _colours(data[at + 9]))
            return head + shown + data[begin:end] + b";"
        if data[at] != 0x21:
            raise _cut()
        at = _gif_blocks(data, at + 2)
        if data[begin + 1] == 0xF9:
            shown = data[begin:at]
    raise _crowded()


def _gif_blocks(data: bytes, at: int) -> int:
    """Where a row of blocks ends that begins here."""
    for _ in range(MOST_PIECES):
        size = data[at]
        at += 1 + size
        if size == 0:
            return at
    raise _crowded()


def _colours(flags: int) -> int:
    """How many bytes the table of colours has that these flags announce."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(data: bytes) -> Bare:
    """The chunks of the picture itself; of an animation the first frame."""
    kept: list[bytes] = []
    orientation = 1
    frames = 0
    for kind, content in _webp_chunks(data):
        if kind == b"VP8X":
            kept.append(_riff(kind, bytes((content[0] & ~WEBP_METADATA,)) + content[1:]))
        elif kind == b"ANMF":
            frames += 1
            kept += [_riff(kind, content)] if frames == 1 else []
        elif kind in WEBP_NEEDED:
            kept.append(_riff(kind, content))
        elif kind == b"EXIF":
            orientation = _orientation(content.removeprefix(b"Exif\0\0"))
    return _at_once(_riff(b"RIFF", b"WEBP" + b"".join(kept)), orientation)


def _webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at, whole = 12, 8 + int.from_bytes(data[4:8], "little")
    if whole > len(data):
        raise _cut()
    for _ in range(MOST_PIECES):
        if at + 8 > whole:
            return
        kind, size = struct.unpack_from("<4sI", data, at)
        if at + 8 + size > whole:
            raise _cut()
        yield kind, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2
    raise _crowded()


def _riff(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def _orientation(exif: bytes) -> int:
    """EXIF's tag for it, in the first directory of a TIFF; 1, upright, where there is none."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (at,) = struct.unpack_from(f"{order}I", exif, 4)
        (count,) = struct.unpack_from(f"{order}H", exif, at)
        for place in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", exif, place)
            if tag == ORIENTATION and kind == SHORT:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
