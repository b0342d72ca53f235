"""Markdown -> headings and paragraphs, by markdown-it-py. Code stays as it is written, HTML in it is left out."""

from __future__ import annotations

from collections.abc import Iterable

from markdown_it import MarkdownIt
from markdown_it.token import Token

from openai_proxy.documents.parsing.blocks import Gathering

# Deeper than people nest lists and quotes.
NESTING = 40


def read_markdown(text: str, into: Gathering) -> None:
    level, row = 0, False
    cells: list[str] = []
    for token in MarkdownIt("commonmark", {"maxNesting": NESTING}).enable("table").parse(text):
        match token.type:
            case "heading_open":
                level = int(token.tag[1:])
            case "heading_close":
                level = 0
            case "tr_open":
                row, cells = True, []
            case "tr_close":
                row = False
                into.add(" | ".join(cells))
            case "inline":
                words = _words(token.children or ())
                if row:
                    cells.append(words)
                else:
                    into.add(words, level)
            case "fence" | "code_block":
                into.add(token.content)


def _words(tokens: Iterable[Token]) -> str:
    """What is to be read: of a picture its words, of a link its text, of HTML nothing."""
    pieces = []
    for token in tokens:
        if token.type in ("text", "code_inline", "image"):
            pieces.append(token.content)
        elif token.type in ("softbreak", "hardbreak"):
            pieces.append("\n" if token.type == "hardbreak" else " ")
    return "".join(pieces)
