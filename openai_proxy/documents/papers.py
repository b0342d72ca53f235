"""Documents in the database. Each function takes who asks, and finds nothing that this one may not see.

A document is there from its beginning, as `reading`; its passages come with its end, in one transaction: what search
finds is whole. Whoever reads it has a `turn`, which is over when somebody else begins, or it is deleted.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from openai_proxy.documents.chunks import Chunk
from openai_proxy.documents.passage import Passage
from openai_proxy.documents.records import Attributes, Document
from openai_proxy.documents.shelves import SEEN, SILENT, comes_by_itself, keeper, put
from openai_proxy.errors import CollectionNotFound, DocumentNotFound, TooManyItems, WrongState
from openai_proxy.settings.documents import DocumentSettings

if TYPE_CHECKING:
    from openai_proxy.documents.connections import Database

COLUMNS = (
    "d.id, c.id, d.owner, d.name, d.created, d.size, d.state, d.media_type, d.pages, d.characters, d.passages, "
    "d.code, d.problem, d.attributes, d.beat"
)
FROM = "FROM document d JOIN collection c ON d.collection = c.number"
LOST = "The server ended while it read this document: hand it in again."


class Begun(Struct, frozen=True):
    """A document that is to be read, by whoever has this turn."""

    number: int
    turn: str


class Read(Struct, frozen=True):
    """What was read of it: its pieces and the vector of each, made by `model`."""

    media_type: str
    pages: int
    characters: int
    model: str
    chunks: Sequence[Chunk]
    vectors: Sequence[bytes]


def begin(database: Database, document: Document, limits: DocumentSettings) -> Begun | None:
    """Take it in, to be read; None where it is there already, or is being read.

    Raises TooManyItems, or CollectionNotFound where that was deleted in between.
    """
    owner, collection = document.owner, document.collection
    if comes_by_itself(collection):
        put(database, owner, collection, collection, {})
    of = {"owner": owner, "keeper": keeper(owner, collection), "collection": collection, "id": document.id}
    now, turn = time.time(), secrets.token_hex(8)
    there = database.execute(
        f"SELECT d.number, d.state = 'ready' OR d.state = 'reading' AND d.beat >= :alive {FROM} "
        "WHERE c.owner = :keeper AND c.id = :collection AND d.id = :id",
        {**of, "alive": now - SILENT},
    ).fetchone()
    attributes = json.dumps(document.attributes)
    if there is not None:
        number, well = there
        database.execute("UPDATE document SET attributes = ? WHERE number = ?", (attributes, number))
        if well:
            return None
        database.execute(
            "UPDATE document SET state = 'reading', code = '', problem = '', turn = ?, beat = ? WHERE number = ?",
            (turn, now, number),
        )
        return Begun(number, turn)
    _check_room(database, owner, document.size, limits)
    database.execute(
        "INSERT INTO document (id, collection, owner, name, created, beat, turn, size, state, attributes) "
        "SELECT :id, number, :owner, :name, :now, :now, :turn, :size, 'reading', :attributes FROM collection c "
        "WHERE c.owner = :keeper AND c.id = :collection",
        {**of, "name": document.name, "now": now, "turn": turn, "size": document.size, "attributes": attributes},
    )
    if not database.changes():
        raise CollectionNotFound
    begun = Begun(database.last_insert_rowid(), turn)
    database.execute("UPDATE collection SET used = :now WHERE owner = :keeper AND id = :collection", {**of, "now": now})
    return begun


def _check_room(database: Database, owner: str, size: int, limits: DocumentSettings) -> None:
    count, held = database.execute(
        "SELECT count(*), coalesce(sum(size), 0) FROM document WHERE owner = ?", (owner,)
    ).get
    if count >= limits.count:
        raise TooManyItems(f"You have {count} documents, which is all that one may have: delete some first.")
    if held + size > limits.total_bytes:
        raise TooManyItems(
            f"Your documents have {held} bytes; with this one they would have more than {limits.total_bytes}."
        )


def beat(database: Database, begun: Sequence[Begun]) -> None:
    """They are still being read."""
    database.executemany(
        "UPDATE document SET beat = ? WHERE number = ? AND turn = ?",
        [(time.time(), each.number, each.turn) for each in begun],
    )


def check_characters(database: Database, begun: Begun, characters: int, limits: DocumentSettings) -> int | None:
    """The collection that it is read for, None if it was deleted. Raises TooManyItems where its text is too much."""
    found = database.execute(
        "SELECT collection, owner FROM document WHERE number = ? AND turn = ? AND state = 'reading'",
        (begun.number, begun.turn),
    ).fetchone()
    if found is None:
        return None
    collection: int = found[0]
    held = database.execute("SELECT coalesce(sum(characters), 0) FROM document WHERE owner = ?", (found[1],)).get
    if held + characters > limits.total_characters:
        raise TooManyItems(
            f"Your documents have {held} characters; with this one they would have more than {limits.total_characters}."
        )
    return collection


def finish(database: Database, begun: Begun, read: Read, limits: DocumentSettings) -> None:
    """Let it be found, unless it was deleted in between. Raises TooManyItems or WrongState."""
    collection = check_characters(database, begun, read.characters, limits)
    if collection is None:
        return
    _settle(database, collection, read.model)
    for chunk, vector in zip(read.chunks, read.vectors, strict=True):
        database.execute(
            "INSERT INTO passage (document, page, text) VALUES (?, ?, ?)", (begun.number, chunk.page, chunk.text)
        )
        passage = database.last_insert_rowid()
        database.execute("INSERT INTO vector VALUES (?, ?, ?)", (passage, collection, vector))
        words = (passage, chunk.read, f"c{collection}")
        database.execute("INSERT INTO words (rowid, text, shelf) VALUES (?, ?, ?)", words)
    database.execute(
        "UPDATE document SET state = 'ready', media_type = ?, pages = ?, characters = ?, passages = ? WHERE number = ?",
        (read.media_type, read.pages, read.characters, len(read.chunks), begun.number),
    )


def _settle(database: Database, collection: int, model: str) -> None:
    """All vectors of a collection are by one model, the first; of one that has none any more by the next."""
    database.execute(
        "UPDATE collection SET model = :model WHERE number = :number AND (model IS NULL OR NOT EXISTS "
        "(SELECT 1 FROM vector v WHERE v.collection = :number))",
        {"model": model, "number": collection},
    )
    made = database.execute("SELECT model FROM collection WHERE number = ?", (collection,)).get
    if made != model:
        raise WrongState(f"The vectors of this collection are by the model {made}, not by {model}.")


def fail(database: Database, begun: Begun, code: str, problem: str) -> None:
    """It cannot be read."""
    database.execute(
        "UPDATE document SET state = 'failed', code = ?, problem = ? "
        "WHERE number = ? AND turn = ? AND state = 'reading'",
        (code, problem, begun.number, begun.turn),
    )


def all_in(database: Database, owner: str, collection: str) -> list[Document]:
    """A collection's documents, the newest first."""
    rows = database.execute(
        f"SELECT {COLUMNS} {FROM} WHERE {SEEN} AND c.id = :collection ORDER BY d.number DESC",
        {"owner": owner, "collection": collection},
    )
    return [_document(row) for row in rows]


def one(database: Database, owner: str, collection: str, id: str) -> Document:
    """Raises DocumentNotFound."""
    row = database.execute(
        f"SELECT {COLUMNS} {FROM} WHERE {SEEN} AND c.id = :collection AND d.id = :id",
        {"owner": owner, "collection": collection, "id": id},
    ).fetchone()
    if row is None:
        raise DocumentNotFound(f"There is no document {id!r:.100} in this collection.")
    return _document(row)


def change(database: Database, owner: str, collection: str, id: str, attributes: Attributes) -> None:
    database.execute(
        "UPDATE document SET attributes = :attributes WHERE id = :id AND collection = "
        f"(SELECT c.number FROM collection c WHERE {SEEN} AND c.id = :collection)",
        {"attributes": json.dumps(attributes), "id": id, "owner": owner, "collection": collection},
    )


def delete(database: Database, owner: str, collection: str, id: str) -> None:
    """Forget it with all that was read of it."""
    of = {"owner": owner, "collection": collection, "id": id}
    own = f"SELECT d.number {FROM} WHERE {SEEN} AND c.id = :collection AND d.id = :id"
    database.execute(f"DELETE FROM words WHERE rowid IN (SELECT number FROM passage WHERE document IN ({own}))", of)
    database.execute(f"DELETE FROM document WHERE number IN ({own})", of)


def texts(database: Database, owner: str, collections: Sequence[int], document: str | None, most: int) -> list[Passage]:
    """The passages of these collections, or of one document there, in reading order; `most` at most."""
    rows = database.execute(
        f"SELECT p.text, d.name, p.page, d.id {FROM} JOIN passage p ON p.document = d.number "
        f"WHERE {SEEN} AND c.number IN (SELECT value FROM json_each(:collections)) "
        "AND (:document IS NULL OR d.id = :document) ORDER BY d.number, p.number LIMIT :most",
        {"owner": owner, "collections": json.dumps(collections), "document": document, "most": most},
    )
    return [Passage(text, name, page or None, 0.0, id) for text, name, page, id in rows]


def _document(row: Sequence[Any]) -> Document:
    *fields, attributes, beat = row
    found = _named(fields, json.loads(attributes))
    if found.state == "reading" and beat < time.time() - SILENT:
        return structs.replace(found, state="failed", code="server_error", problem=LOST)
    return found


def _named(fields: Sequence[Any], attributes: Attributes) -> Document:
    names = [each for each in Document.__struct_fields__ if each != "attributes"]
    return Document(**dict(zip(names, fields, strict=True)), attributes=attributes)
