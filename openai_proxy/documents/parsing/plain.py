"""Text -> headings and paragraphs: what stands between empty lines. A short line alone is a heading."""

from __future__ import annotations

import re

from openai_proxy.documents.parsing.blocks import ENDED, Gathering

BETWEEN = re.compile(r"\n\s*\n")
HEADING, LEVEL = 80, 2
# A line of so many characters goes on in the next one; what is shorter ends where its writer ended it.
WRAPPED = re.compile(r"(?<=[^\n]{50})\n(?=[^\S\n]*\S)")


def read_text(text: str, into: Gathering) -> None:
    """Form feeds end pages, as in what is meant for printers."""
    pages = text.replace("\r\n", "\n").split("\f")
    for number, page in enumerate(pages, 1):
        for paragraph in BETWEEN.split(page):
            level = LEVEL if is_heading(paragraph.strip()) else 0
            into.add(WRAPPED.sub(" ", paragraph), level, number if len(pages) > 1 else 0)


def is_heading(line: str) -> bool:
    """Whether a line that stands alone is one."""
    alone = 0 < len(line) < HEADING and "\n" not in line and not ENDED.search(line)
    return alone and line[0].isalnum() and any(map(str.isalpha, line))
