"""Collections in the database. Each function takes who asks, and sees that one's own and what all share."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from openai_proxy.documents.records import Collection
from openai_proxy.errors import CollectionNotFound, Forbidden, InvalidRequest, TooManyItems

if TYPE_CHECKING:
    from openai_proxy.documents.connections import Database

# The collections that everybody has: a private one, and the one that all share.
MY, USER = "MyData", "UserData"
BUILT_IN = (MY, USER)
# The beginning of the ids of those that last as long as they are used, and seconds without use after which they go.
PASSING, LEFT = "session_", 900.0
# Seconds after which a process that reads a document, and was not heard of, is taken for dead.
SILENT = 60.0
# What one sees.
SEEN = f"(c.owner = :owner AND c.id != '{USER}' OR c.owner = '' AND c.id = '{USER}')"
COLUMNS = "c.id, c.owner, c.name, c.created, c.used, c.model, c.metadata"
COUNTS = """
    coalesce(sum(d.state = 'ready'), 0),
    coalesce(sum(d.state = 'reading' AND d.beat >= :alive), 0),
    coalesce(sum(d.state = 'failed' OR d.state = 'reading' AND d.beat < :alive), 0),
    coalesce(sum(d.characters), 0)
"""
FROM = "FROM collection c LEFT JOIN document d ON d.collection = c.number"


def keeper(owner: str, id: str) -> str:
    """Whose a collection of that id is."""
    return "" if id == USER else owner


def passing(session: str) -> str:
    """The id of what somebody hands in for one session alone, whose name others cannot guess."""
    return PASSING + hashlib.sha256(session.encode()).hexdigest()


def comes_by_itself(id: str) -> bool:
    """Whether a collection is made by its first document; before that it is an empty one."""
    return id in BUILT_IN or id.startswith(PASSING)


def all_of(database: Database, owner: str) -> list[Collection]:
    """What somebody sees: the two that everybody has, then the others, the newest first, and those of sessions."""
    rows = database.execute(
        f"SELECT {COLUMNS}, {COUNTS} {FROM} WHERE {SEEN} GROUP BY c.number ORDER BY c.created DESC, c.number DESC",
        {"owner": owner, "alive": time.time() - SILENT},
    )
    found = [_collection(row) for row in rows]
    known = {each.id: each for each in found}
    both = [known.get(id) or _empty(owner, id) for id in BUILT_IN]
    return [*both, *(each for each in found if each.id not in BUILT_IN)]


def one(database: Database, owner: str, name: str) -> Collection:
    """By its id, or the name that its owner gave it. Raises CollectionNotFound."""
    found = all_of(database, owner)
    for each in (*(each for each in found if each.id == name), *(each for each in found if each.name == name)):
        return each
    if comes_by_itself(name):
        return _empty(owner, name)
    raise CollectionNotFound(f"There is no collection {name!r:.100}.")


def numbers(database: Database, owner: str, names: Sequence[str]) -> dict[int, str | None]:
    """The collections of these names that have anything in them, and the models of their vectors.

    An id is one collection, and a name all that have it. Raises CollectionNotFound.
    """
    found: dict[int, str | None] = {}
    for name in names:
        rows: list[Any] = database.execute(
            f"SELECT c.number, c.model, c.id = :name FROM collection c WHERE {SEEN} AND :name IN (c.id, c.name) "
            "ORDER BY c.id = :name DESC, c.number",
            {"owner": owner, "name": name},
        ).fetchall()
        if rows:
            named = rows[:1] if rows[0][2] else rows
            found.update({row[0]: row[1] for row in named})
        elif not comes_by_itself(name):
            raise CollectionNotFound(f"There is no collection {name!r:.100}.")
    return found


def check_name(name: str | None) -> None:
    """Raises InvalidRequest for the names of those that everybody has."""
    if name in BUILT_IN:
        raise InvalidRequest(f"Everybody has a collection called {name}: choose another name.", param="name")


def put(
    database: Database, owner: str, id: str, name: str, metadata: Mapping[str, Any], most: int | None = None
) -> None:
    """Make it, unless it is there. Raises TooManyItems where its owner has `most` already."""
    lasting = "SELECT count(*) FROM collection WHERE owner = ? AND id NOT GLOB ?"
    count = database.execute(lasting, (owner, f"{PASSING}*")).get
    if most is not None and count >= most:
        raise TooManyItems(f"You have {count} collections, which is all that one may have.")
    now = time.time()
    database.execute(
        "INSERT INTO collection (id, owner, name, created, used, metadata) VALUES (?, ?, ?, ?, ?, ?) "
        "ON CONFLICT DO NOTHING",
        (id, keeper(owner, id), name, now, now, json.dumps(metadata)),
    )


def change(database: Database, owner: str, id: str, name: str | None, metadata: Mapping[str, Any] | None) -> None:
    """Give it another name or metadata. Raises Forbidden for those that everybody has, or InvalidRequest."""
    if id in BUILT_IN:
        raise Forbidden(f"{id} cannot be changed.")
    check_name(name)
    database.execute(
        "UPDATE collection SET name = coalesce(:name, name), metadata = coalesce(:metadata, metadata) "
        "WHERE owner = :owner AND id = :id",
        {"name": name, "metadata": None if metadata is None else json.dumps(metadata), "owner": owner, "id": id},
    )


def drop(database: Database, owner: str, id: str) -> None:
    """Forget it with all that is in it."""
    of = {"owner": keeper(owner, id), "id": id}
    database.execute(
        "DELETE FROM words WHERE rowid IN (SELECT v.passage FROM vector v JOIN collection c ON v.collection = c.number "
        "WHERE c.owner = :owner AND c.id = :id)",
        of,
    )
    database.execute("DELETE FROM collection WHERE owner = :owner AND id = :id", of)


def forget_left(database: Database) -> None:
    """Those of sessions that nobody uses any more."""
    before = time.time() - LEFT
    left = "SELECT owner, id FROM collection WHERE id GLOB ? AND used < ?"
    for owner, id in list(database.execute(left, (f"{PASSING}*", before))):
        drop(database, owner, id)


def touch(database: Database, found: Sequence[int]) -> None:
    """They are used now."""
    database.executemany("UPDATE collection SET used = ? WHERE number = ?", [(time.time(), each) for each in found])


def _empty(owner: str, id: str) -> Collection:
    return Collection(id=id, owner=keeper(owner, id), name=id, created=0, used=0)


def _collection(row: Sequence[Any]) -> Collection:
    id, owner, name, created, used, model, metadata, ready, reading, failed, size = row
    return Collection(
        id=id,
        owner=owner,
        name=name,
        created=created,
        used=used,
        model=model,
        metadata=json.loads(metadata),
        ready=ready,
        reading=reading,
        failed=failed,
        size=size,
    )
