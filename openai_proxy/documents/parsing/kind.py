"""What a file is, by its first bytes. Names and declared types are not asked."""

from __future__ import annotations

import codecs
import re
from typing import Literal, TypeAlias

from openai_proxy.documents.parsing.blocks import Unreadable

Kind: TypeAlias = Literal["pdf", "html", "markdown", "text"]
MEDIA_TYPES: dict[Kind, str] = {
    "pdf": "application/pdf",
    "html": "text/html",
    "markdown": "text/markdown",
    "text": "text/plain",
}
# Readers look for it in the first kilobyte.
PDF, PDF_WITHIN = b"%PDF-", 1024
LOOKED_AT = 4096
MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Possessive: what was read as a comment is not tried as anything else, which would take for ever.
HTML = re.compile(
    r"\s*+(<\?xml[^>]*+>\s*+)?+(<!--((?!-->).)*+-->\s*+)*+<(!doctype\s+html|html|head|body)\b", re.I | re.S
)
MARKDOWN = re.compile(
    r"^(#{1,6} +\S|```|~~~|\[[^\]]+\]: )"
    r"|^[^\n|]*\S[^\n|]*\n(=|-){3,} *$"
    r"|\[[^\]\n]+\]\([^)\n]+\)",
    re.MULTILINE,
)
DECLARED = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
# What files that are no text begin with, that may look like one.
OTHERS = (b"PK\x03\x04", b"\x1f\x8b", b"{\\rtf", b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"\xd0\xcf\x11\xe0")


def kind_of(data: bytes) -> tuple[Kind, str]:
    """The kind of a file, and its text where it is one. Raises Unreadable."""
    if PDF in data[: PDF_WITHIN + len(PDF)]:
        return "pdf", ""
    text = _text(data)
    if HTML.match(text[:LOOKED_AT]):
        return "html", text
    return ("markdown" if MARKDOWN.search(text[: 4 * LOOKED_AT]) else "text"), text


def _text(data: bytes) -> str:
    if not data.strip():
        raise Unreadable("The document is empty.")
    for mark, name in MARKS:
        if data.startswith(mark):
            return _decoded(data[len(mark) :], name)
    if data.startswith(OTHERS) or b"\0" in data[:LOOKED_AT]:
        raise Unreadable("Only text, Markdown, HTML and PDF are read.", "unsupported_file")
    try:
        return data.decode()
    except UnicodeDecodeError:
        declared = DECLARED.search(data[:LOOKED_AT])
        return _decoded(data, declared[1].decode() if declared else "cp1252")


def _decoded(data: bytes, name: str) -> str:
    """What is no character in it is replaced; what is no name of a character set is not believed."""
    try:
        return data.decode(name, errors="replace")
    except LookupError:
        return data.decode("cp1252", errors="replace")
