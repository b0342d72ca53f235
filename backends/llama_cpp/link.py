"""One process of llama.cpp's server, and the client to its Unix socket in a folder that only we may enter."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import tempfile

from msgspec import structs

from backends.errors import EngineFailed, Unavailable
from backends.llama_cpp.child import Load
from backends.llama_cpp.client import Client
from backends.process import loaded
from backends.spawn import spawn


class Link:
    """Not yet begun. The process takes the folder away as well: so it cannot outlive us both."""

    def __init__(self, load: Load) -> None:
        self._folder = _private_folder()
        self._load = structs.replace(
            load, socket=os.path.join(self._folder, "engine.sock"), key=secrets.token_urlsafe(32)
        )
        self._client: Client | None = None
        self.child: asyncio.subprocess.Process | None = None

    @property
    def client(self) -> Client:
        """Raises Unavailable before it was opened."""
        if self._client is None:
            raise Unavailable
        return self._client

    async def open(self) -> None:
        self.child = await spawn("backends.llama_cpp.child")
        await loaded(self.child, self._load)
        self._client = Client(self._load.socket, self._load.key)

    async def beats(self, patience: float) -> bool:
        """Whether the engine's own loop turns: /slots is answered by it, /health by any thread of the server."""
        if self._client is None:
            return False
        try:
            await self._client.get("/slots", object, seconds=patience)
        except (TimeoutError, EngineFailed, Unavailable):
            return False
        return True

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def _private_folder() -> str:
    """A new folder that only we may enter, short enough for the 108 bytes of a socket's address."""
    folder = tempfile.mkdtemp(prefix="openai-proxy-")
    if len(folder) > 90:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="openai-proxy-", dir="/tmp")
    return folder
