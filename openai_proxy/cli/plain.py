"""Text from a server or a model, made safe for a terminal: it may not move the cursor, recolour or rename anything."""

from __future__ import annotations

DIRECTIONS = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
CONTROL = {code: None for code in (*range(0x20), *range(0x7F, 0xA0), *DIRECTIONS) if chr(code) not in "\n\t"}
LINE = {**CONTROL, ord("\n"): " ", ord("\t"): " "}


def safe(text: str) -> str:
    """The text without control characters but line feed and tab: C0 with escape, delete, C1, changes of direction."""
    return text.translate(CONTROL)


def whole(text: str) -> str:
    """Text of a command line or a pipe; a replacement character for each byte in it that was no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def one_line(text: str, longest: int = 300) -> str:
    """The same on one line, cut at `longest` characters."""
    line = text.translate(LINE).strip()
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
