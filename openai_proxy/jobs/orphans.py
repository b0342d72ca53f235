"""Files that no job names: a process died before it had stored whose they are, or before it had deleted them.

Only those in a folder of this machine are looked for: buckets have rules of their own for what is old.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Collection
from pathlib import Path

from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.files import NAME, Files
from openai_proxy.jobs.store import Store

# So many looks see all files; there is one a minute.
PARTS = 60
# As many are asked for at once.
MOST = 500
# Seconds. So young a file may yet be named.
YOUNG = 3600.0
# Longer than any database keeps a job and any request takes, which is a week each: then a file is nobody's, whichever
# database it belonged to.
LONGEST = 15 * 86_400.0


class Orphans:
    """Those of one database, whose jobs name the others."""

    def __init__(self, store: Store, files: Files) -> None:
        self.store = store
        self.files = files
        self._part = 0

    async def sweep(self, grace: float, in_hand: Collection[str]) -> None:
        """Look through the next part; `grace` seconds are added to the age of what is deleted. Raises StoreFailed."""
        if "://" in self.files.where:
            return
        part, self._part = self._part, (self._part + 1) % PARTS
        try:
            old = await asyncio.to_thread(self._old, part, grace)
        except OSError as error:
            raise StoreFailed(f"Files of jobs cannot be looked through: {error}") from error
        for begin in range(0, len(old), MOST):
            names = old[begin : begin + MOST]
            named = {*in_hand, *await self.store.makers(names)}
            await self.files.delete([name for name in names if name not in named])

    def _old(self, part: int, grace: float) -> list[str]:
        """Names of files of that part that are old enough."""
        root, now = Path(os.path.expanduser(self.files.where)), time.time()
        old: list[str] = []
        for folder in os.listdir(root) if root.is_dir() else ():
            if len(folder) == 2 and hash_of(folder) == part:
                for file in os.scandir(root / folder):
                    found = NAME(file.name)
                    least = YOUNG if found and found[1] == self.files.tag else LONGEST
                    if found and now - file.stat().st_mtime > least + grace:
                        old.append(file.name)
        return old


def hash_of(folder: str) -> int:
    """The part to which a folder belongs."""
    return int.from_bytes(folder.encode()) % PARTS
