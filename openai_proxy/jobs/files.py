"""Sounds and pictures of jobs: on disk, or wherever fsspec reaches, such as s3://bucket/prefix with its package s3fs.

A name is 256 random bits, so nobody finds it who was not told, and the tag of the database whose job made the file. A
file is there before a job names it, and is deleted with its job.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncGenerator, Callable, Collection
from functools import partial
from typing import Any, TypeAlias

from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.folder import Folder

Work: TypeAlias = Callable[[Any, str], Any]

ENDINGS = {
    **{"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp"},
    **{"audio/wav": "wav", "audio/mpeg": "mp3", "audio/opus": "opus", "audio/aac": "aac", "audio/flac": "flac"},
    "audio/pcm": "pcm",
}
TYPES = {ending: media_type for media_type, ending in ENDINGS.items()}
NAME = re.compile(r"[A-Za-z0-9_-]{43}([0-9a-f]{8})?\.[a-z0-9]{3,4}").fullmatch
# Bytes of a file that are in memory at once while it is sent.
PIECE = 1_048_576


class Files:
    """`where` is a folder or a URL that fsspec knows, `tag` eight hexadecimal digits."""

    def __init__(self, where: str, tag: str) -> None:
        self.where = where
        self.tag = tag
        self._folder = Folder(where)

    async def put(self, data: bytes, media_type: str) -> str:
        """Keep it; its name. Raises StoreFailed."""
        name = f"{secrets.token_urlsafe(32)}{self.tag}.{ENDINGS[media_type]}"
        await self._folder.run(self._now, name, lambda system, path: system.pipe_file(path, data))
        return name

    async def read(self, name: str) -> bytes | None:
        """What lies under that name; None for what is not there any more. Raises StoreFailed."""
        found: bytes | None = await self._found(name, lambda system, path: system.cat_file(path))
        return found

    async def size(self, name: str) -> int | None:
        """How many bytes lie under that name; None for what is not there any more. Raises StoreFailed."""
        found: int | None = await self._found(name, lambda system, path: system.info(path)["size"])
        return found

    async def pieces(self, name: str, size: int) -> AsyncGenerator[bytes, None]:
        """The first `size` bytes of what lies under that name, piece by piece. Raises StoreFailed."""
        for start in range(0, size, PIECE):
            piece = await self._found(name, partial(_cut, start=start, end=min(start + PIECE, size)))
            if piece is None:
                raise StoreFailed("A file of a job was forgotten while it was read.")
            yield piece

    async def delete(self, names: Collection[str]) -> None:
        """Forget these, as far as they are there. Raises StoreFailed."""
        for name in names:
            await self._found(name, lambda system, path: system.rm_file(path))

    async def _found(self, name: str, work: Work) -> Any:
        """What comes of it; None where the file is not there."""
        return await self._folder.run(self._there, name, work) if NAME(name) else None

    def _there(self, name: str, work: Work) -> Any:
        try:
            return self._now(name, work)
        except FileNotFoundError:
            return None

    def _now(self, name: str, work: Work) -> Any:
        system, root = self._folder.system
        return work(system, f"{root}/{name[:2]}/{name}")


def _cut(system: Any, path: str, start: int, end: int) -> Any:
    return system.cat_file(path, start=start, end=end)


def media_type_of(name: str) -> str:
    """By the ending of its name."""
    return TYPES.get(name.rpartition(".")[2], "application/octet-stream")
