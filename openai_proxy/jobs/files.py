"""Sounds and pictures of jobs: on disk, or wherever fsspec reaches, such as s3://bucket/prefix with its package s3fs.

A name is 256 random bits, so nobody finds it who was not told, and the tag of the database whose job made the file. A
file is there before a job names it, and is deleted with its job.
"""

from __future__ import annotations

import asyncio
import importlib
import re
import secrets
from collections.abc import AsyncGenerator, Collection
from functools import partial
from typing import Any

from openai_proxy.errors import StoreFailed

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
    """`where` is a folder or a URL that fsspec knows, `tag` eight hexadecimal digits. Opened on the first use."""

    def __init__(self, where: str, tag: str) -> None:
        self.where = where
        self.tag = tag
        self._opened: tuple[Any, str] | None = None

    async def put(self, data: bytes, media_type: str) -> str:
        """Keep it; its name. Raises StoreFailed."""
        name = f"{secrets.token_urlsafe(32)}{self.tag}.{ENDINGS[media_type]}"
        await self._do(lambda system, path: system.pipe_file(path, data), name)
        return name

    async def read(self, name: str) -> bytes | None:
        """What lies under that name; None for what is not there any more. Raises StoreFailed."""
        if not NAME(name):
            return None
        try:
            found: bytes = await self._do(lambda system, path: system.cat_file(path), name)
        except FileNotFoundError:
            return None
        return found

    async def size(self, name: str) -> int | None:
        """How many bytes lie under that name; None for what is not there any more. Raises StoreFailed."""
        if not NAME(name):
            return None
        try:
            found: int = await self._do(lambda system, path: system.info(path)["size"], name)
        except FileNotFoundError:
            return None
        return found

    async def pieces(self, name: str, size: int) -> AsyncGenerator[bytes, None]:
        """The first `size` bytes of what lies under that name, piece by piece. Raises StoreFailed."""
        for start in range(0, size, PIECE):
            end = min(start + PIECE, size)
            try:
                yield await self._do(partial(_cut, start=start, end=end), name)
            except FileNotFoundError as error:
                raise StoreFailed("A file of a job was forgotten while it was read.") from error

    async def delete(self, names: Collection[str]) -> None:
        """Forget these, as far as they are there. Raises StoreFailed."""
        for name in names:
            try:
                await self._do(lambda system, path: system.rm_file(path), name)
            except FileNotFoundError:
                continue

    async def _do(self, work: Any, name: str) -> Any:
        try:
            return await asyncio.to_thread(self._now, work, name)
        except FileNotFoundError:
            raise
        except (OSError, ImportError, ValueError) as error:
            raise StoreFailed(f"Files of jobs cannot be kept or read: {error}") from error

    def _now(self, work: Any, name: str) -> Any:
        if self._opened is None:
            core = importlib.import_module("fsspec.core")
            options = {} if "://" in self.where else {"auto_mkdir": True}
            self._opened = core.url_to_fs(self.where, **options)
        system, root = self._opened
        return work(system, f"{root}/{name[:2]}/{name}")


def _cut(system: Any, path: str, start: int, end: int) -> Any:
    return system.cat_file(path, start=start, end=end)


def check_kind(scheme: str) -> None:
    """Raises ValueError for a kind of URL that fsspec does not know, ImportError where its package is missing."""
    importlib.import_module("fsspec.registry").get_filesystem_class(scheme)


def media_type_of(name: str) -> str:
    """By the ending of its name."""
    return TYPES.get(name.rpartition(".")[2], "application/octet-stream")
