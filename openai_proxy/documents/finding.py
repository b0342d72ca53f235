"""Search: by vectors and by words, fused by the ranks that passages have in both.

Vectors are compared one by one by `sqlite-vec`: exact, and 20 ms for 10 000 of 384 dimensions on one core. Words are
those of SQLite's FTS5. Source of the fusion: Cormack, Clarke and Buettcher, "Reciprocal Rank Fusion outperforms
Condorcet and individual Rank Learning Methods", 2009.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from openai_proxy.documents.passage import Passage
from openai_proxy.documents.shelves import SEEN
from openai_proxy.errors import WrongState

if TYPE_CHECKING:
    from openai_proxy.documents.connections import Database

# How much a rank's place counts: the constant of the paper.
RANK = 60
# Of each way so many times the passages that are wanted are looked at, and at least so many.
WIDER, LEAST = 4, 30
# Characters of a query.
LONGEST_QUERY = 10_000
WORD = re.compile(r"\w+")
WORDS = 64
PASSAGES = """
    FROM collection c JOIN vector v ON v.collection = c.number JOIN passage p ON p.number = v.passage
    JOIN document d ON d.number = p.document
"""
INSIDE = f"{SEEN} AND c.number IN (SELECT value FROM json_each(:collections))"
ALLOWED = "(:documents IS NULL OR d.id IN (SELECT value FROM json_each(:documents)))"


class Sought(Struct, frozen=True):
    """What is looked for: the query's words and its vector. `documents` are those to look into, None for all;
    `by_words`: its words count too.
    """

    query: str
    vector: bytes
    documents: Collection[str] | None = None
    by_words: bool = True


def search(database: Database, owner: str, collections: Sequence[int], sought: Sought, limit: int) -> list[Passage]:
    """The passages that fit best, best first."""
    _check_width(database, collections, sought.vector)
    wider = max(LEAST, WIDER * limit)
    documents = None if sought.documents is None else json.dumps(list(sought.documents))
    asked = {
        "owner": owner,
        "collections": json.dumps(collections),
        "documents": documents,
        "vector": sought.vector,
        "limit": wider,
    }
    near = database.execute(
        f"SELECT v.passage {PASSAGES} WHERE {INSIDE} AND {ALLOWED} "
        "ORDER BY vec_distance_cosine(v.vector, :vector) LIMIT :limit"
        if documents
        else "SELECT v.passage FROM collection c JOIN vector v ON v.collection = c.number "
        f"WHERE {INSIDE} ORDER BY vec_distance_cosine(v.vector, :vector) LIMIT :limit",
        asked,
    )
    ways = [[number for (number,) in near]]
    if sought.by_words and (match := _match(sought.query, collections)):
        rows = database.execute(
            f"SELECT v.passage {PASSAGES} JOIN words w ON w.rowid = p.number "
            f"WHERE words MATCH :match AND {INSIDE} AND {ALLOWED} ORDER BY bm25(words, 1.0, 0.0) LIMIT :limit",
            {**asked, "match": match},
        )
        ways.append([number for (number,) in rows])
    best = fused(ways)[:limit]
    rows = database.execute(
        f"SELECT v.passage, p.text, d.name, p.page, 1 - vec_distance_cosine(v.vector, :vector), d.id {PASSAGES} "
        f"WHERE {INSIDE} AND v.passage IN (SELECT value FROM json_each(:best))",
        {**asked, "best": json.dumps(best)},
    )
    found = {
        number: Passage(text, name, page or None, min(1.0, max(0.0, score)), id)
        for number, text, name, page, score, id in rows
    }
    return [found[number] for number in best]


def _check_width(database: Database, collections: Sequence[int], vector: bytes) -> None:
    """Raises WrongState where a model of the same name made vectors of another width."""
    widths = "SELECT length((SELECT vector FROM vector WHERE collection = value LIMIT 1)) FROM json_each(?)"
    for (width,) in database.execute(widths, (json.dumps(collections),)):
        if width not in (None, len(vector)):
            raise WrongState(
                f"Vectors have {len(vector) // 4} dimensions now, those of this collection {width // 4}: its model is "
                "another one than when its documents were handed in. Delete them, and hand them in again."
            )


def fused(ways: Sequence[Sequence[int]]) -> list[int]:
    """All that any way found; what several found near their top comes first."""
    worth: dict[int, float] = {}
    for way in ways:
        for place, number in enumerate(way, 1):
            worth[number] = worth.get(number, 0.0) + 1 / (RANK + place)
    return sorted(worth, key=lambda number: -worth[number])


def _match(query: str, collections: Sequence[int]) -> str:
    """FTS5's query for any of the words, on these shelves; no word of it is taken for an operator. Empty: no words."""
    words = list(dict.fromkeys(WORD.findall(query.lower())))[:WORDS]
    if not words or not collections:
        return ""
    shelves = " OR ".join(f"c{number}" for number in collections)
    texts = " OR ".join(f'"{word}"' for word in words)
    return f"shelf : ({shelves}) AND text : ({texts})"
