"""Takes fields out of a form that is there whole, so that nobody behind sees them."""

from __future__ import annotations

from collections.abc import Callable, Set

from python_multipart.multipart import parse_options_header

HEAD_END = b"\r\n\r\n"
LINE = b"\r\n"


def taken_out(
    body: bytes, boundary: bytes, names: Set[str], meant: Callable[[str, str], bool] = lambda name, text: True
) -> tuple[bytes, dict[str, str]]:
    """The form without the parts of these names that are `meant`, and what they say. One that is malformed stays as it
    is.
    """
    first, *parts = body.split(b"--" + boundary)
    found: dict[str, str] = {}
    kept = [first]
    for part in parts:
        head, end, content = part.partition(HEAD_END)
        name = _name(head) if end else ""
        text = content.removesuffix(LINE).decode(errors="replace") if name in names else ""
        if name in names and meant(name, text):
            found[name] = text
        else:
            kept.append(part)
    return (b"--" + boundary).join(kept) if found else body, found


def _name(head: bytes) -> str:
    """What the part's Content-Disposition calls it."""
    for line in head.split(LINE):
        field, _, value = line.partition(b":")
        if field.strip().lower() == b"content-disposition":
            return parse_options_header(value.strip())[1].get(b"name", b"").decode(errors="replace")
    return ""
