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
PDF = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,64}%PDF-\d")
RTF = b"{\\rtf"
LOOKED_AT = 4096
# What is neither Unicode nor says what it is.
OLD = "cp1252"
OTHER = "Only text, Markdown, HTML and PDF are read."
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
    r"^(#{1,6} +\S|```|~~~|\[[^\[\]\n]++\]: )"
    r"|^[^\S\n]*+[^\s|][^\n|]*+\n(=|-){3,} *$"
    r"|\[[^\[\]\n]++\]\([^()\n]++\)",
    re.MULTILINE,
)
DECLARED = re.compile(rb"<meta[^>]+charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.-]{1,40})", re.IGNORECASE)
# Of the character sets that Python knows those of https://encoding.spec.whatwg.org/, where Latin 1 is Windows' own.
CHARSET = re.compile(
    r"(?:big5|cp(?:125\d|866|874|932|949)|euc_(?:jp|kr)|gb(?:k|2312|18030)|iso2022_jp|iso8859-(?!1$)\d+|koi8-[ru]"
    r"|mac-(?:cyrillic|roman)|shift_jis|utf-8)$"
)
# In a text they are rare; of a file that is none they are an eighth.
NO_TEXT, RARE = re.compile(r"[\0-\x08\x0e-\x1a\x1c-\x1f\ufffd]"), 0.05


def kind_of(data: bytes) -> tuple[Kind, str]:
    """The kind of a file, and its text where it is one. Raises Unreadable."""
    if PDF.match(data):
        return "pdf", ""
    text = _text(data)
    if data.startswith(RTF) or len(NO_TEXT.findall(text[:LOOKED_AT])) > RARE * len(text[:LOOKED_AT]):
        raise Unreadable(OTHER, "unsupported_file")
    if HTML.match(text[:LOOKED_AT]):
        return "html", text
    return ("markdown" if MARKDOWN.search(text[: 4 * LOOKED_AT]) else "text"), text


def _text(data: bytes) -> str:
    if not data.strip():
        raise Unreadable("The document is empty.")
    for mark, name in MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(name, errors="replace")
    if b"\0" in data[:LOOKED_AT]:
        raise Unreadable(OTHER, "unsupported_file")
    try:
        return data.decode()
    except UnicodeDecodeError:
        declared = DECLARED.search(data[:LOOKED_AT])
        return data.decode(_charset(declared[1].decode()) if declared else OLD, errors="replace")


def _charset(label: str) -> str:
    """Python's name for a character set that a page says it has; what is none is not believed."""
    try:
        name = codecs.lookup(label).name
    except LookupError:
        return OLD
    return name if CHARSET.match(name) else OLD
