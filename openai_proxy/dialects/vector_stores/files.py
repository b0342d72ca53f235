"""`/v1/vector_stores/{id}/files`: files of `/v1/files`, or what lies at an address, in a store."""

from __future__ import annotations

import msgspec

from openai_proxy.decode import decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.vector_stores.answers import AttachedFile, AttachedFileDeleted, FilePage, contents, file
from openai_proxy.dialects.vector_stores.bodies import AttachBody, AttributesBody, FileListQuery
from openai_proxy.dialects.vector_stores.query import asked, page
from openai_proxy.documents.documents import Documents
from openai_proxy.documents.records import Attributes, Document
from openai_proxy.errors import InvalidRequest, NotFound
from openai_proxy.fetching.address import file_name
from openai_proxy.jobs.uploads import Upload, Uploads
from openai_proxy.wire import JSON, Incoming, Reply

# Milliseconds after which OpenAI's clients ask again whether a file is read.
AGAIN = b"250"


class StoreFiles:
    """The handlers. A file may be attached by whoever handed it in."""

    def __init__(self, edge: Edge, uploads: Uploads) -> None:
        self.edge = edge
        self.uploads = uploads

    @property
    def documents(self) -> Documents:
        return self.edge.documents

    async def attach(self, incoming: Incoming) -> Reply:
        """The file as it is in the store: `in_progress` until it is read."""
        body, _ = await decode(incoming.body, AttachBody)
        store = incoming.scope["path_params"]["id"]
        await self.documents.collection(incoming.caller.name, store)
        if (body.file_id is None) == (body.url is None):
            raise InvalidRequest("Give a file_id, or a url.", param="file_id")
        attributes = body.attributes or {}
        if body.url is not None:
            return _reply(await self._attach_url(store, body.url, attributes, incoming))
        upload = await self.upload(body.file_id or "", incoming)
        return _reply(await self.attach_upload(store, upload, attributes, incoming))

    async def upload(self, id: str, incoming: Incoming) -> Upload:
        """A file that the caller handed in. Raises NotFound."""
        found = await self.uploads.find(id, incoming.caller.name)
        if found is None:
            raise NotFound("There is no such file, or it has expired.", param="file_id")
        return found

    async def attach_upload(self, store: str, upload: Upload, attributes: Attributes, incoming: Incoming) -> Document:
        data = await self.uploads.read(upload.id, upload.owner)
        if data is None:
            raise NotFound("There is no such file, or it has expired.", param="file_id")
        return await self.documents.begin(
            incoming.caller.name,
            store,
            upload.name,
            data,
            id=upload.id,
            attributes=attributes,
            admin="admin" in incoming.caller.scopes,
        )

    async def _attach_url(self, store: str, url: str, attributes: Attributes, incoming: Incoming) -> Document:
        source = self.edge.fetcher.read(url, "url")
        data = await self.edge.fetcher.fetch(source, "url", lambda _: True, owner=incoming.caller.name)
        return await self.documents.begin(
            incoming.caller.name,
            store,
            file_name(url),
            data,
            attributes=attributes,
            admin="admin" in incoming.caller.scopes,
        )

    async def list(self, incoming: Incoming) -> Reply:
        query = asked(incoming.scope["query_string"], FileListQuery)
        found = await self.documents.documents(incoming.caller.name, incoming.scope["path_params"]["id"])
        every = [(each.id, file(each)) for each in found]
        kept = [each for each in every if query.filter in (None, each[1].status)]
        data, more = page(kept, query)
        told = FilePage(data=data, has_more=more)
        if data:
            told.first_id, told.last_id = data[0].id, data[-1].id
        return Reply(msgspec.json.encode(told))

    async def one(self, incoming: Incoming) -> Reply:
        return _reply(await self.documents.document(*_named(incoming)))

    async def change(self, incoming: Incoming) -> Reply:
        body, _ = await decode(incoming.body, AttributesBody)
        return _reply(await self.documents.change_document(*_named(incoming), body.attributes))

    async def delete(self, incoming: Incoming) -> Reply:
        gone = await self.documents.delete(*_named(incoming), admin="admin" in incoming.caller.scopes)
        return Reply(msgspec.json.encode(AttachedFileDeleted(id=gone.id)))

    async def content(self, incoming: Incoming) -> Reply:
        owner, store, id = _named(incoming)
        await self.documents.document(owner, store, id)
        passages = await self.documents.passages(owner, [store], document=id)
        return Reply(msgspec.json.encode(contents(passages)))


def _named(incoming: Incoming) -> tuple[str, str, str]:
    """Who asks, and of which file in which store."""
    place = incoming.scope["path_params"]
    return incoming.caller.name, place["id"], place["file"]


def _reply(document: Document) -> Reply:
    told: AttachedFile = file(document)
    headers = (*JSON, (b"openai-poll-after-ms", AGAIN)) if document.state == "reading" else JSON
    return Reply(msgspec.json.encode(told), headers=headers)
