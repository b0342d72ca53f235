"""`GET /v1/images/files/{name}`: pictures that were asked for with `response_format` url."""

from __future__ import annotations

from openai_proxy.dialects import Edge
from openai_proxy.errors import NotFound
from openai_proxy.image_files import GUARDED, NAME, Kept
from openai_proxy.wire import Incoming, Reply


class ImageFile:
    """Gives a picture to whoever knows its name."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply:
        kept = await self._find(incoming.scope["path_params"]["name"])
        lasting = b"private, max-age=%d" % kept.left
        return Reply(
            kept.data,
            headers=((b"content-type", kept.media_type.encode()), (b"cache-control", lasting), *GUARDED),
        )

    async def _find(self, name: str) -> Kept:
        """Raises NotFound."""
        kept = None
        if NAME.fullmatch(name):
            kept = self.edge.images.find(name)
            if kept is None and self.edge.fleet is not None:
                kept = await self.edge.fleet.image(name)
        if kept is None:
            raise NotFound("There is no such picture, or it has expired.")
        return kept
