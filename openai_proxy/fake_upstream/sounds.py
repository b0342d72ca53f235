"""Sounds of every format, a tenth of a second at a time, without an encoder.

Samples are tones that tell their place by their pitch; the other formats hold silence, which takes only few bytes.
Sources: RFC 3533 and 7845 (Ogg, Opus), RFC 9639 (FLAC), ISO 11172-3 (MP3), ISO 13818-7 (ADTS).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import NamedTuple

RATE = 16_000
STEPS = RATE // 10
UNKNOWN = 0xFFFFFFFF
# 26 ms at 44,100 samples a second, mono, without a bit of sound in it; and 64 ms at 16,000.
MP3_FRAME = b"\xff\xfb\x90\xc0" + bytes(413)
AAC_SILENCE = bytes.fromhex("00c800802380")
OPUS_SILENCE = b"\xf8\xff\xfe"
OPUS_PACKETS, OPUS_STEPS = 5, 4800
SERIAL = 1


class Sounds(NamedTuple):
    """A format: the media type, what comes first, piece `k` counted from 0, and what comes after the last."""

    kind: bytes
    opening: bytes
    piece: Callable[[int], bytes]
    finish: Callable[[int], bytes] = lambda _: b""


def wav(size: int = UNKNOWN) -> bytes:
    """The head of a WAV file with so many bytes of samples."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE, RATE * 2, 2, 16)
    length = size if size == UNKNOWN else size + 36
    return struct.pack("<4sI4s", b"RIFF", length, b"WAVE") + form + struct.pack("<4sI", b"data", size)


def samples(number: int) -> bytes:
    """A tone with waves of `2 * (10 + number)` samples, as far as there are so long ones."""
    half = 10 + number % 100
    wave = struct.pack("<h", 4000) * half + struct.pack("<h", -4000) * half
    return (wave * (STEPS // half))[: STEPS * 2]


def adts() -> bytes:
    """A frame of AAC."""
    length = 7 + len(AAC_SILENCE)
    bits = 0xFFF1 << 40 | 1 << 38 | 8 << 34 | 1 << 30 | length << 13 | 0x7FF << 2
    return bits.to_bytes(7, "big") + AAC_SILENCE


def remainder(data: bytes, polynomial: int, width: int) -> int:
    """A cyclic redundancy check, high bits first, beginning with 0."""
    value, top, mask = 0, 1 << (width - 1), (1 << width) - 1
    for byte in data:
        value ^= byte << (width - 8)
        for _ in range(8):
            value = (value << 1 ^ (polynomial if value & top else 0)) & mask
    return value


def page(number: int, flags: int, granule: int, packets: list[bytes]) -> bytes:
    """A page of an Ogg file; its packets are shorter than 255 bytes."""
    head = struct.pack("<4sBBqII", b"OggS", 0, flags, granule, SERIAL, number)
    rest = bytes((len(packets), *map(len, packets))) + b"".join(packets)
    check = remainder(head + bytes(4) + rest, 0x04C11DB7, 32)
    return head + struct.pack("<I", check) + rest


def opus_head() -> bytes:
    head = struct.pack("<8sBBHIhB", b"OpusHead", 1, 1, 0, RATE, 0, 0)
    tags = struct.pack("<8sI4sI", b"OpusTags", 4, b"fake", 0)
    return page(0, 2, 0, [head]) + page(1, 0, 0, [tags])


def opus(number: int) -> bytes:
    return page(number + 2, 0, (number + 1) * OPUS_STEPS, [OPUS_SILENCE] * OPUS_PACKETS)


def opus_end(count: int) -> bytes:
    return page(count + 2, 4, count * OPUS_STEPS, [])


def flac_head() -> bytes:
    sizes = struct.pack(">HH", STEPS, STEPS) + bytes(6)
    rates = (RATE << 44 | 15 << 36).to_bytes(8, "big")
    info = sizes + rates + bytes(16)
    return b"fLaC\x80" + len(info).to_bytes(3, "big") + info


def flac(number: int) -> bytes:
    """A frame whose samples are all 0; its number is coded as a character is in UTF-8."""
    head = b"\xff\xf8\x75\x08" + chr(number % 0xD000).encode() + struct.pack(">H", STEPS - 1)
    frame = head + bytes((remainder(head, 0x07, 8),)) + b"\x00\x00\x00"
    return frame + remainder(frame, 0x8005, 16).to_bytes(2, "big")


SOUNDS = {
    "mp3": Sounds(b"audio/mpeg", b"", lambda _: MP3_FRAME * 4),
    "opus": Sounds(b"audio/opus", opus_head(), opus, opus_end),
    "aac": Sounds(b"audio/aac", b"", lambda _: adts() * 2),
    "flac": Sounds(b"audio/flac", flac_head(), flac),
    "wav": Sounds(b"audio/wav", wav(), samples),
    "pcm": Sounds(b"audio/pcm", b"", samples),
}
