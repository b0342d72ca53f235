"""`/v1/vector_stores` and the search in them."""

from __future__ import annotations

import asyncio

import msgspec

from openai_proxy.decode import decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.vector_stores.answers import FoundPage, StoreDeleted, StorePage, found, store
from openai_proxy.dialects.vector_stores.bodies import ListQuery, RankingOptions, SearchBody, StoreBody, StoreChange
from openai_proxy.dialects.vector_stores.files import StoreFiles
from openai_proxy.dialects.vector_stores.filters import matching
from openai_proxy.dialects.vector_stores.query import asked, page
from openai_proxy.documents.documents import Documents
from openai_proxy.documents.passage import Passage
from openai_proxy.errors import EdgeError
from openai_proxy.wire import Incoming, Reply

# As many as OpenAI gives.
RESULTS = 10


class Stores:
    """The handlers. Whose a store is, is the name of the key."""

    def __init__(self, edge: Edge, files: StoreFiles) -> None:
        self.edge = edge
        self.files = files

    @property
    def documents(self) -> Documents:
        return self.edge.documents

    async def create(self, incoming: Incoming) -> Reply:
        """Its files are read by and by."""
        body, _ = await decode(incoming.body, StoreBody)
        uploads = [await self.files.upload(id, incoming) for id in body.file_ids or ()]
        made = await self.documents.create(incoming.caller.name, body.name or "", body.metadata)
        try:
            for upload in uploads:
                await self.files.attach_upload(made.id, upload, {}, incoming)
        except EdgeError:
            await self.documents.drop(incoming.caller.name, made.id)
            raise
        return await self._told(incoming, made.id)

    async def list(self, incoming: Incoming) -> Reply:
        query = asked(incoming.scope["query_string"], ListQuery)
        every = [(each.id, store(each)) for each in await self.documents.collections(incoming.caller.name)]
        data, more = page(every, query)
        told = StorePage(data=data, has_more=more)
        if data:
            told.first_id, told.last_id = data[0].id, data[-1].id
        return Reply(msgspec.json.encode(told))

    async def one(self, incoming: Incoming) -> Reply:
        return await self._told(incoming, incoming.scope["path_params"]["id"])

    async def change(self, incoming: Incoming) -> Reply:
        body, _ = await decode(incoming.body, StoreChange)
        id = incoming.scope["path_params"]["id"]
        await self.documents.change(incoming.caller.name, id, body.name, body.metadata)
        return await self._told(incoming, id)

    async def delete(self, incoming: Incoming) -> Reply:
        caller = incoming.caller
        gone = await self.documents.drop(
            caller.name, incoming.scope["path_params"]["id"], admin="admin" in caller.scopes
        )
        return Reply(msgspec.json.encode(StoreDeleted(id=gone.id)))

    async def search(self, incoming: Incoming) -> Reply:
        body, _ = await decode(incoming.body, SearchBody)
        owner, id = incoming.caller.name, incoming.scope["path_params"]["id"]
        documents = {each.id: each for each in await self.documents.documents(owner, id)}
        within = None
        if body.filters is not None:
            matches = matching(body.filters)
            within = await asyncio.to_thread(
                lambda: [each.id for each in documents.values() if matches(each.attributes)]
            )
        queries = [body.query] if isinstance(body.query, str) else body.query
        options, limit = body.ranking_options or RankingOptions(), body.max_num_results or RESULTS
        best: list[Passage] = []
        for query in queries:
            best += await self.documents.search(
                owner, [id], query, limit, documents=within, by_words=options.ranker != "none"
            )
        if len(queries) > 1:
            once = {(each.document, each.text): each for each in sorted(best, key=lambda each: each.score)}
            best = list(once.values())[::-1]
        best = [each for each in best if each.score >= (options.score_threshold or 0.0)][:limit]
        told = FoundPage(search_query=queries, data=[found(each, documents) for each in best])
        return Reply(msgspec.json.encode(told))

    async def _told(self, incoming: Incoming, id: str) -> Reply:
        return Reply(msgspec.json.encode(store(await self.documents.collection(incoming.caller.name, id))))
