"""A place for files: a folder, or wherever fsspec reaches, such as s3://bucket/prefix with its package s3fs."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from openai_proxy.errors import EdgeError, StoreFailed

T = TypeVar("T")

LOCAL = "file"
# For systems of these kinds. S3's own patience is a minute for a connection, five times: so long nobody waits here.
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    LOCAL: {"auto_mkdir": True},
    "s3": {"config_kwargs": {"connect_timeout": 5, "read_timeout": 20, "retries": {"max_attempts": 2}}},
}


class Folder:
    """`where` is a folder or a URL that fsspec knows. Opened on the first use."""

    def __init__(self, where: str) -> None:
        self.where = where
        self._opened: tuple[Any, str] | None = None

    @property
    def system(self) -> tuple[Any, str]:
        """The file system, and where this folder lies there. May take long, and raise what it likes."""
        if self._opened is None:
            core = importlib.import_module("fsspec.core")
            kind, there, _ = self.where.partition("://")
            self._opened = core.url_to_fs(self.where, **OPTIONS.get(kind if there else LOCAL, {}))
        return self._opened

    async def run(self, work: Callable[..., T], *arguments: Any) -> T:
        """What `work` gives, in a thread. Raises what it raises of ours; all else is StoreFailed."""
        try:
            return await asyncio.to_thread(work, *arguments)
        except EdgeError:
            raise
        except Exception as error:  # each kind of system has its own
            raise StoreFailed(f"Files cannot be kept or read: {error}") from error


def check_kind(scheme: str) -> None:
    """Raises ValueError for a kind of URL that fsspec does not know, ImportError where its package is missing."""
    importlib.import_module("fsspec.registry").get_filesystem_class(scheme)
