"""Texts -> vectors, by a model of this server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing

from backends.errors import BackendError, ContextExceeded, EngineFailed
from backends.events import Outcome, Tokens
from backends.requests import EmbeddingRequest, TokenizeRequest
from openai_proxy.bodies.checks import model_of_kind
from openai_proxy.config import Config
from openai_proxy.documents.chunks import Chunk, Cutting, halves
from openai_proxy.documents.parsing.blocks import Block
from openai_proxy.errors import EdgeError, InvalidRequest, WrongState
from openai_proxy.fair import Turn
from openai_proxy.router import Patience, Router
from openai_proxy.served import Served

BATCH = 32
# Characters by which is seen how many make a token, and how many it is where that cannot be seen.
SAMPLE, CHARACTERS = 8000, 3.0
# Of a token's characters: texts differ.
MARGIN = 0.9
# Tokens of a piece where nobody knows what the model takes, those around a text, and shares of a piece.
TOKENS, AROUND = 256, 8
OVERLAP = 0.2
# What cannot be cut any more.
SHORTEST = 16


class Vectors:
    """`config` is asked each time: it may be reloaded."""

    def __init__(self, router: Router, config: Callable[[], Config]) -> None:
        self.router = router
        self.config = config

    def model(self, made: str | None) -> str:
        """The model that makes vectors: the one that made those of a collection, else as the settings say.

        Raises WrongState where that one is not served any more, InvalidRequest where there is none.
        """
        config = self.config()
        try:
            served, name = model_of_kind(self.router, made or config.documents.model, "embedding", config.limits)
        except (EdgeError, BackendError) as error:
            if made is None:
                raise InvalidRequest("No model is served here that makes vectors: documents need one.") from error
            raise WrongState(
                f"The vectors of this collection are by the model {made}, which is not served here any more: have it "
                "served, or delete the collection's documents and hand them in again."
            ) from error
        return made or name or served.name

    async def one(self, model: str, text: str) -> bytes:
        """The vector of a query; of its beginning where it is too long. Raises BackendError or EdgeError."""
        while True:
            try:
                [vector] = await self._embed(model, [text], Patience())
            except ContextExceeded:
                if len(text) <= SHORTEST:
                    raise
                text = text[: len(text) // 2]
            else:
                return vector

    async def of(self, model: str, blocks: Sequence[Block], turn: Turn) -> tuple[list[Chunk], list[bytes]]:
        """A document's pieces, such as the model can read, and their vectors. Other owners' documents go on in between.

        Raises BackendError or EdgeError.
        """
        served = self.router.find(model)
        limits = self.config().documents
        most = min(limits.chunk, (served.known(model).context or TOKENS) - AROUND)
        size = max(SHORTEST, int(most * await self._characters(served, model, blocks) * MARGIN))
        cutting = Cutting(size, int(size * OVERLAP))
        waiting = (await asyncio.to_thread(lambda: list(cutting.cut(blocks))))[::-1]
        chunks: list[Chunk] = []
        vectors: list[bytes] = []
        while waiting:
            await turn.pause()
            batch = [waiting.pop() for _ in range(min(BATCH, len(waiting)))]
            for chunk, vector in await self._fitting(model, batch):
                chunks.append(chunk)
                vectors.append(vector)
        return chunks, vectors

    async def _fitting(self, model: str, batch: list[Chunk]) -> list[tuple[Chunk, bytes]]:
        """Pieces and their vectors; one that is too long for the model is cut."""
        try:
            vectors = await self._embed(model, [chunk.read for chunk in batch], self._patience)
        except ContextExceeded:
            if len(batch) == 1 and len(batch[0].text) <= SHORTEST:
                raise
            smaller = [[chunk] for chunk in batch] if len(batch) > 1 else [[half] for half in halves(batch[0])]
            return [pair for each in smaller for pair in await self._fitting(model, each)]
        return list(zip(batch, vectors, strict=True))

    @property
    def _patience(self) -> Patience:
        """Nobody waits for a document as for an answer."""
        return Patience(self.config().timeouts.request)

    async def _embed(self, model: str, texts: Sequence[str], patience: Patience) -> list[bytes]:
        request = EmbeddingRequest(model=model, inputs=tuple(texts))
        found = await Outcome.of(self.router.run(request, patience=patience))
        if len(found.vectors) != len(texts) or not all(found.vectors):
            raise EngineFailed("The model did not make a vector of every text.")
        return found.vectors

    async def _characters(self, served: Served, model: str, blocks: Sequence[Block]) -> float:
        """How many characters a token of such a text has."""
        text = ""
        for block in blocks:
            text += f"{block.text}\n"
            if len(text) >= SAMPLE:
                break
        text = text[:SAMPLE]
        if "tokenize" not in served.known(model).kinds:
            return CHARACTERS
        count = await counted(self.router, model, text)
        return len(text) / max(1, count)


async def counted(router: Router, model: str, text: str) -> int:
    """The tokens of a text without special ones. Raises BackendError or EdgeError."""
    async with aclosing(router.run(TokenizeRequest(model=model, prompt=text, special=False))) as events:
        async for event in events:
            if isinstance(event, Tokens):
                return len(event.ids)
    raise EngineFailed
