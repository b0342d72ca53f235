"""Files that clients hand in for requests to come: in the store of files, for a while and within a bound.

Who hands one in is its owner; to others it is not there. Where there is no room, or there are `MOST`, the oldest are
forgotten of who has most.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from openai_proxy.config import Config
from openai_proxy.errors import RequestTooLarge
from openai_proxy.jobs import shares
from openai_proxy.jobs.folder import Folder

ID = re.compile(r"(?:file-)?[0-9a-f]{32}").fullmatch
# Files that are kept, however small they are: all of them are known in memory.
MOST = 10_000


class Upload(Struct, frozen=True, kw_only=True):
    """A file. `purpose` is what OpenAI's clients say it is for; `created` and `expires` are Unix seconds."""

    id: str
    owner: str
    name: str
    media_type: str
    size: int
    sha256: str
    created: float
    expires: float
    purpose: str | None = None
    metadata: Mapping[str, Any] = {}


class Uploads:
    """`where` is a folder or a URL that fsspec knows. `config` is asked each time: it may be reloaded."""

    def __init__(self, where: str, config: Callable[[], Config]) -> None:
        self.config = config
        self._folder = Folder(f"{where}/uploads")
        self._known: dict[str, Upload] = {}

    async def put(
        self,
        data: bytes,
        *,
        owner: str,
        name: str,
        media_type: str,
        purpose: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        seconds: float | None = None,
    ) -> Upload:
        """Keep a file, for `seconds` if that is less than what the settings say.

        Raises StoreFailed, or RequestTooLarge for one for which there is no room beside what others have.
        """
        config = self.config()
        most = config.limits.stored_files
        if len(data) > most:
            raise RequestTooLarge(f"The file is larger than {most} bytes.")
        now = time.time()
        upload = Upload(
            id=("" if purpose is None else "file-") + secrets.token_hex(16),
            owner=owner,
            name=name,
            media_type=media_type,
            size=len(data),
            sha256=await asyncio.to_thread(_sha256, data),
            created=now,
            expires=now + min(config.timeouts.stored_file, seconds or math.inf),
            purpose=purpose,
            metadata=metadata or {},
        )
        await self._folder.run(self._put, upload, data, most)
        return upload

    async def find(self, id: str, owner: str) -> Upload | None:
        """None for what is not there, or not any more, or another's. Raises StoreFailed."""
        if not ID(id):
            return None
        found: Upload | None = await self._folder.run(self._find, id)
        return found if found is not None and found.owner == owner and found.expires > time.time() else None

    async def read(self, id: str, owner: str) -> bytes | None:
        """What is in it. Raises StoreFailed."""
        found = await self.find(id, owner)
        data: bytes | None = None if found is None else await self._folder.run(self._read, id)
        return data

    async def of(self, owner: str) -> list[Upload]:
        """An owner's files, the newest first. Raises StoreFailed."""
        all_of_them: list[Upload] = await self._folder.run(self._all)
        now = time.time()
        return [each for each in reversed(all_of_them) if each.owner == owner and each.expires > now]

    async def delete(self, id: str, owner: str) -> Upload | None:
        """Forget a file; what it was. Raises StoreFailed."""
        found = await self.find(id, owner)
        if found is not None:
            await self._folder.run(self._forget, id)
        return found

    # In a thread, with the file system

    def _put(self, upload: Upload, data: bytes, most: int) -> None:
        system, root = self._folder.system
        there = self._all()
        kept = [*(each for each in there if each.expires > upload.created), upload]
        for bound, weigh in ((most, shares.size), (MOST, shares.one)):
            gone = {each.id for each in shares.beyond(kept, shares.held(kept, weigh), bound, weigh)}
            kept = [each for each in kept if each.id not in gone]
        if upload not in kept:
            raise RequestTooLarge("There is no room for a file of this size.")
        for id in {each.id for each in there} - {each.id for each in kept}:
            self._forget(id)
        system.pipe_file(f"{root}/{upload.id}.data", data)
        system.pipe_file(f"{root}/{upload.id}.json", msgspec.json.encode(upload))  # what is listed is whole
        self._known[upload.id] = upload

    def _find(self, id: str) -> Upload | None:
        system, root = self._folder.system
        try:
            found = msgspec.json.decode(system.cat_file(f"{root}/{id}.json"), type=Upload)
        except (FileNotFoundError, msgspec.DecodeError):  # or somebody is just writing it
            self._known.pop(id, None)
            return None
        self._known[id] = found
        return found

    def _read(self, id: str) -> bytes | None:
        system, root = self._folder.system
        try:
            data: bytes = system.cat_file(f"{root}/{id}.data")
        except FileNotFoundError:
            return None
        return data

    def _all(self) -> list[Upload]:
        """All that are there, the oldest first."""
        system, root = self._folder.system
        try:
            names = [path.rpartition("/")[2] for path in system.ls(root, detail=False, refresh=True)]
        except FileNotFoundError:
            names = []
        ids = {name.removesuffix(".json") for name in names if name.endswith(".json")}
        for id in self._known.keys() - ids:
            del self._known[id]
        for id in ids - self._known.keys():
            if ID(id):
                self._find(id)
        return sorted(self._known.values(), key=lambda each: each.created)

    def _forget(self, id: str) -> None:
        system, root = self._folder.system
        self._known.pop(id, None)
        for name in (f"{id}.json", f"{id}.data"):
            try:
                system.rm_file(f"{root}/{name}")
            except FileNotFoundError:
                continue


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
