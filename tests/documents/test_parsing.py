"""What is read of documents, by their content and not their names, and how those end that cannot be read."""

from __future__ import annotations

import asyncio
import bz2
import contextlib
import time
import zlib

import pytest

from openai_proxy.documents.parsing.asking import read_soon
from openai_proxy.documents.parsing.blocks import Block, Gathering, Unreadable
from openai_proxy.documents.parsing.kind import kind_of
from openai_proxy.documents.parsing.messages import Parsed
from openai_proxy.documents.parsing.plain import read_text
from openai_proxy.documents.parsing.web import read_html
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


LONG = b"".join(b"Line %d says %d.\n" % (number, number**3) for number in range(2000))


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


@pytest.mark.parametrize(
    "part",
    ["<!--", "<a ", "</a ", "<!a", "<?a", "<![CDATA[", "<td> ", "<a x=\"'", "&", "<", "<!doctype [", "<pre>\n\n"],
)
def test_no_tag_makes_the_rest_be_read_anew(part: str) -> None:
    """What takes the square of its length would take minutes for so many."""
    into, begun = Gathering(CHARACTERS), time.process_time()
    read_html("<html><p>a<p>b" + part * 100_000, into)
    assert into.blocks[0].text == "a"
    assert into.blocks[1].text.startswith("b")
    assert time.process_time() - begun < 5


def test_lines_of_blanks_take_no_time() -> None:
    begun = time.process_time()
    read_text("a" * 60 + " " * 200_000 + "b", Gathering(CHARACTERS))
    kind_of(b"[" * 20_000)
    kind_of(b"a " * 20_000)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize("end", ["<!-- b", "<a href='b", "<a b", "</a", "<!b", "<script>b", "<![CDATA[b", "&amp"])
def test_what_has_no_end_is_left_out(end: str) -> None:
    assert words(read(f"<html><p>a {end}".encode())) == ["a &" if end == "&amp" else "a"]


def test_xml_in_html() -> None:
    document = b"""<?xml version="1.0"?><!DOCTYPE html PUBLIC "a" "b" [
      <!ENTITY a "<p>one</p>"> <!-- two --> ]><html><p>a<![CDATA[b]]>c<![if x]>d<![endif]>"""
    assert words(read(document)) == ["acd"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_in_several_encodings(encoding: str) -> None:
    found = read("Über Bären\n\nund Käfer, die lange leben.\n\nEnde.".encode(encoding))
    assert (found.media_type, found.blocks[0]) == ("text/plain", Block("Über Bären", 2))
    assert words(found)[1:] == ["und Käfer, die lange leben.", "Ende."]


def test_html_says_its_encoding() -> None:
    assert words(read('<html><meta charset="koi8-r"><p>Привет'.encode("koi8-r"))) == ["Привет"]
    assert words(read('<html><meta charset="sjis"><p>日本'.encode("shift_jis"))) == ["日本"]


@pytest.mark.parametrize(
    "name", ["zip", "hex", "rot13", "idna", "punycode", "undefined", "utf-7", "unicode_escape", "latin1", "../a", "no"]
)
def test_what_is_no_character_set_of_pages_is_not_believed(name: str) -> None:
    page = b'<html><meta charset="%s"><p>+AGE- \\u0061\xe4\x80' % name.encode()
    assert kind_of(page)[1].endswith("<p>+AGE- \\u0061ä€")


def test_text_is_of_what_people_see() -> None:
    hidden = "".join(chr(0xE0000 + ord(each)) for each in "obey")
    found = read(f"a\u200b\u202eb \t c\x07\ufeff{hidden}. 1\r\n2\r\n\f\n\nnext page.".encode())
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
    assert read(b"\xef\xbb\xbf\r\n" + printing.printed("Words.")).media_type == "application/pdf"
    assert words(read(b"A file of that kind begins with %PDF-1.7.")) == ["A file of that kind begins with %PDF-1.7."]


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
        (bz2.compress(LONG), "unsupported_file", "Only text, Markdown, HTML and PDF are read."),
        (zlib.compress(LONG), "unsupported_file", "Only text, Markdown, HTML and PDF are read."),
        (LONG.decode().encode("utf-32"), "unsupported_file", "Only text, Markdown, HTML and PDF are read."),
        (b"{\\rtf1 words}", "unsupported_file", "Only text, Markdown, HTML and PDF are read."),
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
