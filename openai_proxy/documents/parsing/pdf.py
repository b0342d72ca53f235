"""PDF -> paragraphs with their pages, by PDFium. Forms, scripts, attachments and addresses are not looked at.

A PDF has lines, no paragraphs: one ends with a line that is short and ends a sentence. A short line of a few words
without an end of its own, before a line that begins anew, is a heading.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pypdfium2
import pypdfium2.raw

from openai_proxy.documents.parsing.blocks import ENDED, Gathering, Unreadable
from openai_proxy.documents.parsing.plain import LEVEL, is_heading

# Where a word was broken at the end of a line.
BROKEN = re.compile("[\x02\xad\ufffe]\\s*\n?")
# A line of this share of the longest one's length is a full one.
FULL = 0.8


def read_pdf(data: bytes, most_pages: int, into: Gathering) -> int:
    """How many pages there are. Raises Unreadable."""
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        if pypdfium2.raw.FPDF_GetLastError() == pypdfium2.raw.FPDF_ERR_PASSWORD:
            raise Unreadable("The PDF is encrypted: hand it in without a password.") from error
        raise Unreadable("The PDF is damaged.") from error
    pages = len(document)
    if pages > most_pages:
        raise Unreadable(f"The PDF has {pages} pages; at most {most_pages} are read.")
    for number in range(1, pages + 1):
        try:
            page = document[number - 1]
            text = page.get_textpage().get_text_bounded()
            page.close()
        except pypdfium2.PdfiumError as error:
            raise Unreadable(f"Page {number} of the PDF is damaged.") from error
        for paragraph, level in _paragraphs(BROKEN.sub("", text.replace("\r\n", "\n"))):
            into.add(paragraph, level, number)
    if not into.blocks:
        raise Unreadable("The PDF has no text: it may be a scan, whose words would have to be recognised first.")
    return pages


def _paragraphs(text: str) -> Iterator[tuple[str, int]]:
    """Paragraphs and headings, with their levels."""
    lines = [line.strip() for line in text.split("\n")]
    full = FULL * max(map(len, lines), default=0)
    begun: list[str] = []
    for place, line in enumerate(lines):
        following = lines[place + 1] if place + 1 < len(lines) else ""
        if not begun and _heads(line, following, full):
            yield line, LEVEL
            continue
        if line:
            begun.append(line)
        if begun and (not line or (len(line) < full and ENDED.search(line))):
            yield " ".join(begun), 0
            begun = []
    yield " ".join(begun), 0


def _heads(line: str, following: str, full: float) -> bool:
    """Whether a line at the beginning of a paragraph is a heading."""
    return len(line) < full and is_heading(line) and following[:1].isupper()
