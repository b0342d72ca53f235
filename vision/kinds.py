"""What the first bytes of a file say of its kind."""

from __future__ import annotations

BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")


def is_picture(beginning: bytes) -> bool:
    """Whether a file that begins so, with 12 bytes or more, may be a PNG, JPEG, GIF or WebP."""
    return beginning.startswith(BEGINNINGS) or (beginning[:4] == b"RIFF" and beginning[8:12] == b"WEBP")
