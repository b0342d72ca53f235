"""HTML -> headings and paragraphs, by the standard library's parser: tag by tag, so that no nesting is too deep."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from openai_proxy.documents.parsing.blocks import Gathering

# What is in them is not for readers, or not the page's own text.
HIDDEN = frozenset(
    {"script", "style", "template", "noscript", "svg", "math", "canvas", "object", "iframe", "head", "select"}
    | {"textarea", "button", "nav", "audio", "video", "map"}
)
INLINE = frozenset(
    {"a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "del", "dfn", "em", "font", "i", "img", "ins", "kbd"}
    | {"label", "mark", "q", "rp", "rt", "ruby", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "tt"}
    | {"u", "var", "wbr", "input"}
)
VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr", "param"}
)
# Their ends may be left out: they end where another one begins.
OPEN = frozenset({"p", "li", "dt", "dd", "option", "tr", "td", "th", "tbody", "thead", "tfoot", "colgroup", "html"})
HEADINGS = {f"h{level}": level for level in range(1, 7)}
CELLS = frozenset({"td", "th"})
# What XML has in brackets before the end of its document type, which HTML has not; looked for in so many characters.
SUBSET = re.compile(r"(<!doctype[^>\[]*)\[.*?\]\s*>", re.I | re.S)
SUBSET_WITHIN = 16_384


class Page(HTMLParser):
    """Gathers what a reader sees. Within <pre> line ends stay."""

    def __init__(self, into: Gathering) -> None:
        super().__init__(convert_charrefs=True)
        self.into = into
        self.words: list[str] = []
        self.hidden: list[str] = []
        self.level = 0
        self.kept = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.hidden and not self._ends(tag):
            if tag == self.hidden[-1]:
                self.hidden.append(tag)
            return
        if tag in HIDDEN or (tag not in VOID and any(name == "hidden" for name, _ in attrs)):
            self._paragraph()
            self.hidden.append(tag)
        elif tag == "br":
            self._say("\n")
        elif tag in CELLS:
            self.words += [" | "] if self.words else []
        elif tag not in INLINE:
            self._paragraph()
            self.level = HEADINGS.get(tag, 0)
            self.kept += tag == "pre"

    def _ends(self, tag: str) -> bool:
        """Whether what is hidden ends here, though nobody says so."""
        last = self.hidden[-1]
        if (last in OPEN and tag not in INLINE | VOID) or (last == "head" and tag == "body"):
            self.hidden.pop()
        return not self.hidden

    def handle_endtag(self, tag: str) -> None:
        if self.hidden:
            if tag == self.hidden[-1]:
                self.hidden.pop()
            return
        if tag not in INLINE and tag not in CELLS and tag != "br":
            self._paragraph()
            self.level = 0
            if tag == "pre":
                self.kept = max(0, self.kept - 1)

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self._say(data if self.kept else data.replace("\n", " "))

    def parse_marked_section(self, i: int, report: bool = True) -> int:
        """As browsers do: what is of XML alone is passed over."""
        return self.parse_bogus_comment(i, report)

    def _say(self, words: str) -> None:
        """No paragraph begins with blanks."""
        if self.words or words.strip():
            self.words.append(words)

    def _paragraph(self) -> None:
        self.into.add("".join(self.words), self.level)
        self.words = []

    def close(self) -> None:
        """A tag or a comment without an end is left out with all that follows, as browsers do: the parser's own way
        would look for that end anew from each place.
        """
        self.feed("<p>")
        self._paragraph()


def read_html(text: str, into: Gathering) -> None:
    text = SUBSET.sub(r"\1>", text[:SUBSET_WITHIN], count=1) + text[SUBSET_WITHIN:]
    page = Page(into)
    page.feed(text)
    page.close()
