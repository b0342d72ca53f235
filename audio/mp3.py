"""The first frame of an MP3 stream, which tells decoders to leave away what the encoder put before the sound.

Its layout is that of LAME's tag (http://gabriel.mp3-tech.org/mp3infotag.html), here without a length: nobody knows it.
"""

from __future__ import annotations

# The samples of silence that LAME begins with, and those that decoders add.
ENCODER_DELAY, DECODER_DELAY = 576, 529
DELAY = ENCODER_DELAY + DECODER_DELAY
# Version and rate as a frame's head has them: MPEG 1, 2 and 2.5 in turn.
RATES = {
    **{44_100: (3, 0), 48_000: (3, 1), 32_000: (3, 2)},
    **{22_050: (2, 0), 24_000: (2, 1), 16_000: (2, 2)},
    **{11_025: (0, 0), 12_000: (0, 1), 8_000: (0, 2)},
}
MPEG_1 = 3
BIT_RATE = 64_000
MONO = 0xC0


def info_frame(rate: int) -> bytes:
    """A silent frame with the tag; `rate` is one of MP3's."""
    version, place = RATES[rate]
    first = version == MPEG_1
    bits = 5 if first else 8
    head = bytes([0xFF, 0xE3 | version << 3, bits << 4 | place << 2, MONO])
    size = (144 if first else 72) * BIT_RATE // rate
    side = bytes(17 if first else 9)
    tag = b"Info" + bytes(4) + b"LAME3.100" + bytes(12) + (ENCODER_DELAY << 12).to_bytes(3, "big")
    return (head + side + tag).ljust(size, b"\0")
