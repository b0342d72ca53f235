"""`GET /v1/jobs/files/{name}`: sounds and pictures that jobs made, for as long as the job is kept."""

from __future__ import annotations

from openai_proxy.auth import Caller
from openai_proxy.dialects import Edge
from openai_proxy.errors import JobNotFound, NotFound
from openai_proxy.image_files import GUARDED
from openai_proxy.jobs.files import media_type_of
from openai_proxy.wire import Flow, Headers, Incoming

GONE = "There is no such file, or it has expired."


class JobFiles:
    """Gives a file to the owner of its job, to operators, and where the settings say so to whoever knows its name."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Flow:
        """Raises NotFound or StoreFailed."""
        name: str = incoming.scope["path_params"]["name"]
        files = self.edge.jobs.files
        size = await files.size(name)
        if size is None:
            raise NotFound(GONE)
        left = await self._left(name, incoming.caller)
        headers: Headers = (
            (b"content-type", media_type_of(name).encode()),
            (b"content-length", b"%d" % size),
            (b"cache-control", b"private, max-age=%d" % left),
            *GUARDED,
        )
        return Flow(files.pieces(name, 0 if incoming.scope["method"] == "HEAD" else size), headers)

    async def _left(self, name: str, caller: Caller) -> float:
        """For how many seconds it is there. Raises NotFound."""
        jobs = self.edge.jobs
        every = self.edge.config.server.open_images or "admin" in caller.scopes
        try:
            left = jobs.kept_for(await jobs.maker(name, None if every else caller.name))
        except JobNotFound:
            raise NotFound(GONE) from None
        if left <= 0:
            raise NotFound(GONE)
        return left
