"""A piece of a document, as search finds it and as actions read it."""

from __future__ import annotations

from msgspec import Struct


class Passage(Struct, frozen=True):
    """Text that stands together. `source` is the document's name; `page` counts from 1, None where there are no pages.

    `score` is from 0 to 1, how well it fits what was asked; `document` is the id of the document, empty for a text that
    came with the request.
    """

    text: str
    source: str = ""
    page: int | None = None
    score: float = 0.0
    document: str = ""
