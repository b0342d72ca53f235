"""What an edge is given: collections of documents, each a user's own or shared by all."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import platformdirs

from backends.apart import NoDecoder
from backends.errors import BackendError
from openai_proxy.config import Config
from openai_proxy.documents import papers, shelves
from openai_proxy.documents.finding import LONGEST_QUERY, Sought, search
from openai_proxy.documents.papers import Begun, Read
from openai_proxy.documents.parsing.blocks import Unreadable
from openai_proxy.documents.passage import Passage
from openai_proxy.documents.records import Attributes, Collection, Document
from openai_proxy.documents.room import Room
from openai_proxy.documents.shelves import USER
from openai_proxy.documents.vectors import Vectors
from openai_proxy.errors import (
    BadDocument,
    EdgeError,
    Forbidden,
    InvalidRequest,
    NotInstalled,
    RequestTooLarge,
    StoreFailed,
)
from openai_proxy.fair import Turn, Turns
from openai_proxy.router import Router
from openai_proxy.settings.documents import DocumentSettings

if TYPE_CHECKING:
    from openai_proxy.documents.connections import Database, Store

T = TypeVar("T")
# What the extra `documents` brings.
NEEDED = ("apsw", "sqlite_vec", "pypdfium2", "markdown_it")
BEATS = shelves.SILENT / 6
LONGEST_NAME = 512
# Passages that one action may be about.
MOST_PASSAGES = 100_000
# Seconds after which it is written down again that a collection is used, and of how many this is known.
TOUCHED, MOST_TOUCHED = 60.0, 10_000
STOPPED = "The server was stopped while it read this document: hand it in again."

log = logging.getLogger("openai_proxy.documents")


class Documents:
    """`owner` is who asks: the caller's name, who of others' documents sees only those in UserData.

    A collection is named by its id ("MyData", "UserData", that of `create`, or `shelves.passing` for what a session
    alone has) or by the name that its owner gave it. Nothing is opened before the first use. All raise StoreFailed
    where nothing can be kept, and NotInstalled where the extra is missing. `config` is asked each time: it may be
    reloaded.
    """

    def __init__(self, router: Router, config: Callable[[], Config]) -> None:
        self.config = config
        self.vectors = Vectors(router, config)
        self._path = home(config().documents) / "documents.db"
        self._store: Store | None = None
        self._tasks: dict[asyncio.Task[None], Begun] = {}
        self._beating: asyncio.Task[None] | None = None
        self._room = Room()
        self._used: dict[int, float] = {}
        self._turns = Turns(config().documents.at_once)

    @property
    def settings(self) -> DocumentSettings:
        return self.config().documents

    # Collections

    async def collections(self, owner: str) -> list[Collection]:
        """MyData and UserData, then one's own, the newest first; none of sessions."""
        found = await self._read(lambda database: shelves.all_of(database, owner))
        return [each for each in found if not each.id.startswith(shelves.PASSING)]

    async def within(self, owner: str, session: str, collections: Sequence[str]) -> list[str]:
        """The same, but what was handed in during a session in place of MyData, if anything was."""
        if shelves.MY not in collections:
            return list(collections)
        own = shelves.passing(session)
        if not await self._read(lambda database: shelves.numbers(database, owner, [own])):
            own = shelves.MY
        return [own if each == shelves.MY else each for each in collections]

    async def collection(self, owner: str, name: str) -> Collection:
        """Raises CollectionNotFound."""
        return await self._read(lambda database: shelves.one(database, owner, name))

    async def create(self, owner: str, name: str, metadata: Mapping[str, Any] | None = None) -> Collection:
        """A private one. Raises TooManyItems, or InvalidRequest for a name that it may not have."""
        shelves.check_name(name)
        id, most = f"vs_{secrets.token_hex(16)}", self.settings.collections
        await self._write(lambda database: shelves.put(database, owner, id, name[:LONGEST_NAME], metadata or {}, most))
        return await self.collection(owner, id)

    async def change(self, owner: str, name: str, called: str | None, metadata: Mapping[str, Any] | None) -> Collection:
        """Give it another name or other metadata, where these are not None.

        Raises CollectionNotFound, Forbidden, or InvalidRequest for a name that it may not have.
        """
        found = await self.collection(owner, name)
        await self._write(lambda database: shelves.change(database, owner, found.id, called, metadata))
        return await self.collection(owner, found.id)

    async def drop(self, owner: str, name: str, *, admin: bool = False) -> Collection:
        """Forget it with all that is in it; those that everybody has are then empty. What it was.

        Raises CollectionNotFound, or Forbidden for the shared one, which only an operator may empty.
        """
        found = await self.collection(owner, name)
        if found.id == USER and not admin:
            raise Forbidden("Only a key with the scope admin may empty UserData; delete your own documents there.")
        await self._write(lambda database: shelves.drop(database, owner, found.id))
        return found

    # Documents

    async def documents(self, owner: str, collection: str) -> list[Document]:
        """The newest first. Raises CollectionNotFound."""
        found = await self.collection(owner, collection)
        return await self._read(lambda database: papers.all_in(database, owner, found.id))

    async def document(self, owner: str, collection: str, id: str) -> Document:
        """Raises CollectionNotFound or DocumentNotFound."""
        found = await self.collection(owner, collection)
        return await self._read(lambda database: papers.one(database, owner, found.id, id))

    async def begin(
        self,
        owner: str,
        collection: str,
        name: str,
        data: bytes,
        *,
        id: str | None = None,
        attributes: Attributes | None = None,
        admin: bool = False,
    ) -> Document:
        """Take a document in, which is then read by and by: `document` tells how it went.

        One that is there by that id already is not read again. Raises CollectionNotFound, TooManyItems,
        RequestTooLarge, QueueFull, Forbidden, WrongState or InvalidRequest.
        """
        document, _ = await self._begin(owner, collection, name, data, id, attributes, admin)
        return document

    async def add(self, owner: str, collection: str, name: str, data: bytes, *, admin: bool = False) -> Document:
        """The same, and come back when it can be found. Raises BadDocument, too, where it cannot be read."""
        document, task = await self._begin(owner, collection, name, data, None, None, admin)
        if task is not None:
            await asyncio.wait([task])
        document = await self.document(owner, document.collection, document.id)
        if document.state == "failed":
            raise BadDocument(document.problem)
        return document

    async def _begin(
        self,
        owner: str,
        collection: str,
        name: str,
        data: bytes,
        id: str | None,
        attributes: Attributes | None,
        admin: bool,
    ) -> tuple[Document, asyncio.Task[None] | None]:
        """The document, and what reads it if nobody has yet."""
        self._admit(collection, len(data), admin)
        self._room.take(owner, len(data), self.settings.waiting_bytes)
        task = None
        try:
            document, task = await self._taken(owner, collection, name, data, id, attributes)
        finally:
            if task is None:
                self._room.give_back(owner, len(data))
        return await self.document(owner, document.collection, document.id), task

    async def _taken(
        self, owner: str, collection: str, name: str, data: bytes, id: str | None, attributes: Attributes | None
    ) -> tuple[Document, asyncio.Task[None] | None]:
        """The document as it is to be kept, and what reads it if nobody has yet."""
        found = await self.collection(owner, collection)
        model = self.vectors.model(found.model if found.ready else None)
        document = Document(
            id=id or f"file-{secrets.token_hex(16)}",
            collection=found.id,
            owner=owner,
            name=Path(name[:LONGEST_NAME]).name or "document",
            created=0.0,
            size=len(data),
            state="reading",
            attributes=attributes or {},
        )
        settings = self.settings
        begun = await self._write(lambda database: papers.begin(database, document, settings))
        task = None
        if begun is not None:
            task = asyncio.create_task(self._take_in(owner, begun, data, model), name=f"read {document.id}")
            self._tasks[task] = begun
            task.add_done_callback(partial(self._done, owner=owner, size=len(data)))
            self._beating = self._beating or asyncio.create_task(self._beat(), name="documents beat")
        return document, task

    def _done(self, task: asyncio.Task[None], owner: str, size: int) -> None:
        del self._tasks[task]
        self._room.give_back(owner, size)

    async def change_document(self, owner: str, collection: str, id: str, attributes: Attributes) -> Document:
        """Give it other attributes. Raises CollectionNotFound, DocumentNotFound or Forbidden."""
        found = await self._own(owner, collection, id, False)
        await self._write(lambda database: papers.change(database, owner, found.collection, id, attributes))
        return await self.document(owner, found.collection, id)

    async def delete(self, owner: str, collection: str, id: str, *, admin: bool = False) -> Document:
        """Forget it; what it was. Raises CollectionNotFound, DocumentNotFound, or Forbidden for what others share."""
        found = await self._own(owner, collection, id, admin)
        await self._write(lambda database: papers.delete(database, owner, found.collection, id))
        return found

    async def _own(self, owner: str, collection: str, id: str, admin: bool) -> Document:
        found = await self.document(owner, collection, id)
        if found.owner != owner and not admin:
            raise Forbidden("Somebody else handed this document in.")
        return found

    def _admit(self, collection: str, size: int, admin: bool) -> None:
        settings = self.settings
        if size > settings.document_bytes:
            raise RequestTooLarge(f"A document has at most {settings.document_bytes} bytes.")
        if collection == USER and settings.shared == "admins" and not admin:
            raise Forbidden("Only a key with the scope admin may add to UserData here.")

    # Search

    async def search(
        self,
        owner: str,
        collections: Sequence[str],
        query: str,
        limit: int,
        *,
        documents: Sequence[str] | None = None,
        by_words: bool = True,
    ) -> list[Passage]:
        """The passages that fit best, best first, out of `documents` only if these are given.

        Of a long query the beginning counts. `by_words`: those that have its words count too. Raises
        CollectionNotFound, BackendError, or WrongState where a model is not served any more or is another one.
        """
        query = query[:LONGEST_QUERY]
        if not query.strip():
            raise InvalidRequest("query must not be empty.", param="query")
        found = await self._read(lambda database: shelves.numbers(database, owner, collections))
        models = {model for model in found.values() if model is not None}
        best: list[list[Passage]] = []
        for made in models:
            among = [number for number, model in found.items() if model == made]
            sought = Sought(query, await self.vectors.one(self.vectors.model(made), query), documents, by_words)
            best.append(await self._read(partial(search, owner=owner, collections=among, sought=sought, limit=limit)))
        await self._touch(list(found))
        if len(best) == 1:
            return best[0]
        return sorted((each for way in best for each in way), key=lambda each: -each.score)[:limit]

    async def _touch(self, found: list[int]) -> None:
        """They are used now, which is written down once a minute."""
        due = time.monotonic() - TOUCHED
        if any(self._used.get(number, -math.inf) < due for number in found):
            if len(self._used) > MOST_TOUCHED:
                self._used.clear()
            self._used.update(dict.fromkeys(found, time.monotonic()))
            await self._write(lambda database: shelves.touch(database, found))

    async def passages(
        self, owner: str, collections: Sequence[str], *, document: str | None = None, limit: int = MOST_PASSAGES
    ) -> list[Passage]:
        """All of them in reading order, document by document, or those of one. Raises CollectionNotFound."""
        found = list(await self._read(lambda database: shelves.numbers(database, owner, collections)))
        await self._touch(found)
        return await self._read(lambda database: papers.texts(database, owner, found, document, limit))

    # Reading

    async def _take_in(self, owner: str, begun: Begun, data: bytes, model: str) -> None:
        """Read a document to its end, well or not."""
        try:
            async with self._turns.of(owner) as turn:
                read = await self._understood(begun, data, model, turn)
                settings = self.settings
                await self._write(lambda database: papers.finish(database, begun, read, settings))
        except Unreadable as error:
            await self._failed(begun, error.fault, str(error))
        except (EdgeError, BackendError) as error:
            await self._failed(begun, "server_error", error.message)
        except NoDecoder as error:
            await self._failed(begun, "server_error", str(error))
        except asyncio.CancelledError:
            await self._failed(begun, "server_error", STOPPED)
            raise
        except Exception:
            log.exception("a document could not be read")
            await self._failed(begun, "server_error", "The server had an internal error.")

    async def _understood(self, begun: Begun, data: bytes, model: str, turn: Turn) -> Read:
        from openai_proxy.documents.parsing.asking import read_soon

        settings = self.settings
        parsed = await read_soon(data, settings.pages, settings.characters)
        characters = sum(len(block.text) for block in parsed.blocks)
        await self._read(lambda database: papers.check_characters(database, begun, characters, settings))
        chunks, vectors = await self.vectors.of(model, parsed.blocks, turn)
        return Read(parsed.media_type, parsed.pages, characters, model, chunks, vectors)

    async def _failed(self, begun: Begun, code: str, problem: str) -> None:
        await self._write(lambda database: papers.fail(database, begun, code, problem))

    async def _beat(self) -> None:
        """Say of all that are being read here that somebody still does, and forget what sessions have left."""
        while True:
            await asyncio.sleep(BEATS)
            try:
                if self._tasks:
                    await self._write(partial(papers.beat, begun=list(self._tasks.values())))
                await self._write(shelves.forget_left)
            except StoreFailed as error:
                log.warning("documents: %s", error)

    # The database

    async def _read(self, work: Callable[[Database], T]) -> T:
        return await (await self._opened()).read(work)

    async def _write(self, work: Callable[[Database], T]) -> T:
        return await (await self._opened()).write(work)

    async def _opened(self) -> Store:
        if self._store is None:
            check_installed()
            connections = await asyncio.to_thread(importlib.import_module, "openai_proxy.documents.connections")
            self._store = self._store or connections.Store(self._path)
        return self._store

    async def close(self) -> None:
        """What is being read has failed; it can be handed in again."""
        tasks = [*self._tasks, *([self._beating] if self._beating else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._store is not None:
            await self._store.close()


def check_installed() -> None:
    """Raises NotInstalled."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        packages = "pip install 'openai-proxy[documents]'"
        raise NotInstalled(f"Documents need packages that are not installed here ({', '.join(missing)}): {packages}.")


def home(settings: DocumentSettings) -> Path:
    """The folder of the database."""
    if settings.home is not None:
        return Path(os.path.expanduser(settings.home))
    return platformdirs.user_data_path("openai-proxy") / "documents"
