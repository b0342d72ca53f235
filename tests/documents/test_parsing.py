"""What is read of documents, by their content and not their names, and how those end that cannot be read."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from openai_proxy.documents.parsing.asking import read_soon
from openai_proxy.documents.parsing.blocks import Block, Unreadable
from openai_proxy.documents.parsing.kind import kind_of
from openai_proxy.documents.parsing.messages import Parsed
from tests.documents import printing
from tests.documents.library import NAMES, QUESTIONS, answers, data

PAGES, CHARACTERS = 2000, 5_000_000
MARKDOWN = b"""# One

Some *words* and [a link](http://192.0.2.1/x), ![a picture](http://192.0.2.1/y.png),
in two lines.<script>evil()</script>

## Two
- first
- second

| a | b |
|---|---|
| 1 | 2 |

```
code stays
  as it is
```
"""
HTML = b"""<!-- made by hand --><!DOCTYPE HTML><html><head><title>T</title><script>evil("<p>")</script>
<style>p {}</style></head><body><nav>Menu</nav><h1>Head</h1><p>One <b>two</b>&nbsp;&amp;<br>three<p>Four
<img src="http://192.0.2.1/a.png" alt="b"><ul><li>five<li>six</ul><div hidden>seven</div>
<table><tr><td>8<td>9</table><pre>a
 b</pre><iframe src="http://192.0.2.1"></iframe><p>last"""


def read(data: bytes, pages: int = PAGES, characters: int = CHARACTERS) -> Parsed:
    return asyncio.run(read_soon(data, pages, characters))


def refused(data: bytes, pages: int = PAGES, characters: int = CHARACTERS) -> tuple[str, str]:
    with pytest.raises(Unreadable) as caught:
        read(data, pages, characters)
    return caught.value.fault, str(caught.value)


def words(parsed: Parsed) -> list[str]:
    return [block.text for block in parsed.blocks]


def test_markdown() -> None:
    found = read(MARKDOWN)
    assert (found.media_type, found.pages) == ("text/markdown", 0)
    assert found.blocks == [
        Block("One", 1),
        Block("Some words and a link, a picture, in two lines.evil()"),
        Block("Two", 2),
        Block("first"),
        Block("second"),
        Block("a | b"),
        Block("1 | 2"),
        Block("code stays\nas it is"),
    ]


def test_html_as_a_reader_sees_it() -> None:
    found = read(HTML)
    assert found.media_type == "text/html"
    assert found.blocks[0] == Block("Head", 1)
    assert words(found)[1:] == ["One two &\nthree", "Four", "five", "six", "8 | 9", "a\nb", "last"]


@pytest.mark.parametrize(
    "mark", [b"<html>", b"  \n<!doctype html>", b"<?xml version='1.0'?><!-- a -->\n<html>", b"<BODY>"]
)
def test_html_by_its_beginning(mark: bytes) -> None:
    assert read(mark + b"<p>a").media_type == "text/html"


def test_comments_without_an_end_take_no_time() -> None:
    """By the patterns of most languages 400 of them would take hours."""
    assert read(b"<!---->" * 400 + b"<html><p>a").media_type == "text/html"
    for end in (b"x", b"<!--"):
        assert kind_of(b"<!---->" * 400 + end)[0] == "text"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_in_several_encodings(encoding: str) -> None:
    found = read("Über Bären\n\nund Käfer, die lange leben.\n\nEnde.".encode(encoding))
    assert (found.media_type, found.blocks[0]) == ("text/plain", Block("Über Bären", 2))
    assert words(found)[1:] == ["und Käfer, die lange leben.", "Ende."]


def test_html_says_its_encoding() -> None:
    assert words(read('<html><meta charset="koi8-r"><p>Привет'.encode("koi8-r"))) == ["Привет"]
    assert words(read(b'<html><meta charset="zip"><p>\xe4'))[0] == "ä"


def test_text_is_of_what_people_see() -> None:
    found = read("a\u200b\u202eb \t c\x07\ufeff. 1\r\n2\r\n\f\n\nnext page.".encode())
    assert found.blocks == [Block("ab c. 1\n2", 0, 1), Block("next page.", 0, 2)]


def test_lines_that_were_wrapped_are_one() -> None:
    long = (
        "This line is long enough that it was surely wrapped by\nsome editor, and so goes on here.\nA verse\nends here."
    )
    assert words(read(long.encode())) == [long.replace("by\nsome", "by some")]


def test_pdf_has_pages() -> None:
    found = read(printing.printed("# Title\n\n" + "\n\n".join(f"This is paragraph {number}." for number in range(60))))
    assert (found.media_type, found.pages) == ("application/pdf", 3)
    assert found.blocks[0] == Block("Title", 2, 1)
    assert [block.page for block in found.blocks if "paragraph 30." in block.text] == [2]


def test_pdf_is_seen_by_its_content() -> None:
    assert read(b"junk\n" + printing.printed("Words.")).media_type == "application/pdf"


def test_the_library_is_read_whole() -> None:
    texts = {name: " ".join(words(read(data(name)))) for name in NAMES}
    assert [question for question in QUESTIONS if not answers(texts[question.document], question)] == []
    assert "tracking" not in texts["vellum-beetle.html"]
    assert "never shown" not in texts["vellum-beetle.html"]


# What cannot be read


@pytest.mark.parametrize(
    ("given", "fault", "problem"),
    [
        (b"", "invalid_file", "The document is empty."),
        (b" \n\t ", "invalid_file", "The document is empty."),
        (b"<html><script>a()</script>", "invalid_file", "The document has no text."),
        (b"PK\x03\x04 a zip bomb, or a spreadsheet", "unsupported_file", "Only text, Markdown, HTML and PDF are read."),
        (b"\x1f\x8b gzip", "unsupported_file", "Only text, Markdown, HTML and PDF are read."),
        (b"\x7fELF\0\0", "unsupported_file", "Only text, Markdown, HTML and PDF are read."),
        (b"%PDF-1.7 and no more", "invalid_file", "The PDF is damaged."),
        (printing.encrypted(), "invalid_file", "The PDF is encrypted: hand it in without a password."),
        (
            printing.scanned(),
            "invalid_file",
            "The PDF has no text: it may be a scan, whose words would have to be recognised first.",
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes) else None,
)
def test_what_is_refused(given: bytes, fault: str, problem: str) -> None:
    assert refused(given) == (fault, problem)


def test_pages_have_a_limit() -> None:
    pdf = printing.document([b"BT /F1 9 Tf 72 700 Td (A page.) Tj ET"] * 1000)
    assert read(pdf, 1000).pages == 1000
    assert refused(pdf, 999) == ("invalid_file", "The PDF has 1000 pages; at most 999 are read.")


def test_characters_have_a_limit() -> None:
    assert words(read(b"abc. def.", characters=9)) == ["abc. def."]
    assert refused(b"abc. def.", characters=8) == ("invalid_file", "The document has more than 8 characters.")


def test_a_bomb_ends_with_its_process() -> None:
    fault, problem = refused(printing.bomb())
    assert fault == "invalid_file"
    assert problem in ("It takes too much to read the document.", "The PDF is damaged.", refused(printing.scanned())[1])
    assert words(read(b"The next one is read.")) == ["The next one is read."]


@pytest.mark.parametrize("given", [b"<html>" + b"<div>" * 30_000 + b"deep", b"# a\n\n" + b">" * 30_000 + b" b"])
def test_deep_nesting_is_read_or_refused(given: bytes) -> None:
    with contextlib.suppress(Unreadable):
        assert words(read(given))
