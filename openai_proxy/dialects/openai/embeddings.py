"""`POST /v1/embeddings`.

Source: https://platform.openai.com/docs/api-reference/embeddings/create, as the `openai` Python SDK types it.
"""

from __future__ import annotations

import array
import base64

import msgspec
from msgspec import Struct

from backends.events import Outcome
from openai_proxy.bodies.checks import model_of_kind
from openai_proxy.bodies.embedding import EmbeddingBody, embedding_request
from openai_proxy.decode import decode
from openai_proxy.dialects import Edge
from openai_proxy.errors import ModelNotFound
from openai_proxy.served import Served
from openai_proxy.wire import Incoming, Reply


class EmbeddingUsage(Struct):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingItem(Struct):
    """The vector of one input: numbers, or base64 of little-endian float32."""

    index: int
    embedding: list[float] | str
    object: str = "embedding"


class EmbeddingList(Struct):
    """All vectors, in the order of the inputs."""

    data: list[EmbeddingItem]
    model: str
    usage: EmbeddingUsage
    object: str = "list"


class Embeddings:
    """Embeds texts."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply:
        body, fields = await decode(incoming.body, EmbeddingBody)
        limits = self.edge.config.limits
        served, name = self._model(body.model)
        incoming.note_model(served.name)
        request = embedding_request(body, fields, name, served.model, limits)
        outcome = await Outcome.of(self.edge.router.run(request))
        if outcome.relayed is not None:
            return Reply(outcome.relayed)
        shown = _base64 if body.encoding_format == "base64" else _floats
        data = [EmbeddingItem(index, shown(vector)) for index, vector in enumerate(outcome.vectors)]
        counted = EmbeddingUsage(outcome.usage.prompt, outcome.usage.prompt)
        return Reply(msgspec.json.encode(EmbeddingList(data, request.model, counted)))

    def _model(self, name: str | None) -> tuple[Served, str]:
        """The model of that name; for one that is not served the only one that embeds, as for h2oGPT's clients.

        Raises ModelNotFound or InvalidRequest.
        """
        router, limits = self.edge.router, self.edge.config.limits
        try:
            return model_of_kind(router, name, "embedding", limits)
        except ModelNotFound:
            known = {served.name: served.model.kinds for _, served in router.names}
            embedding = [each for each, kinds in known.items() if "embedding" in kinds and "chat" not in kinds]
            if len(embedding) != 1:
                raise
            return model_of_kind(router, embedding[0], "embedding", limits)


def _vector(data: bytes) -> array.array[float]:
    vector = array.array("f")
    vector.frombytes(data)
    return vector


def _floats(data: bytes) -> list[float]:
    return _vector(data).tolist()


def _base64(data: bytes) -> str:
    vector = _vector(data)
    if memoryview(b"\1\0").cast("H")[0] != 1:
        vector.byteswap()
    return base64.b64encode(vector.tobytes()).decode("ascii")
