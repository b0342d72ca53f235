"""How far an engine is that is being built: what has been downloaded, and which step its processes are at.

Both happen in processes that vLLM starts. A download shows in the unfinished files of Hugging Face's cache, a step in
vLLM's log, which a handler in those processes reads and passes on through a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backends.vllm import compat

LOOK_EVERY = 0.5
# Where the processes find the file that they write steps to.
FILE = "STEPS_OF_VLLM"


class Steps(logging.Handler):
    """The handler of vLLM's loggers that tell of steps, in its processes: notes these, and passes warnings on."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            logging.getLogger().handle(record)
        step = compat.STEPS.get(f"{record.name}:{record.funcName}")
        if step is not None:
            with contextlib.suppress(OSError, KeyError):  # the load is over, and the file gone
                file = os.open(os.environ[FILE], os.O_WRONLY | os.O_APPEND)
                try:
                    os.write(file, f"{step}\n".encode())
                finally:
                    os.close(file)


@contextlib.contextmanager
def told_by_processes(steps: Path) -> Iterator[None]:
    """Processes that vLLM starts meanwhile write their steps to that file. One engine is built at a time."""
    os.environ[FILE] = str(steps)
    try:
        yield
    finally:
        del os.environ[FILE]


@contextlib.asynccontextmanager
async def followed(blobs: Path | None, tell: Callable[[str], None]) -> AsyncIterator[Path]:
    """Tell how far a load is whenever that changes. Yields the file for steps; `blobs` is where downloads arrive."""
    with tempfile.TemporaryDirectory(prefix="openai-proxy-") as folder:
        steps = Path(folder) / "steps"
        steps.touch()
        following = asyncio.create_task(_follow(steps, blobs, tell))
        try:
            yield steps
        finally:
            following.cancel()


async def _follow(steps: Path, blobs: Path | None, tell: Callable[[str], None]) -> None:
    arrived, told = _arrived(blobs), ""
    while True:
        await asyncio.sleep(LOOK_EVERY)
        before, arrived = arrived, _arrived(blobs)
        download = f"downloading, {arrived / 1e9:.1f} GB in unfinished files"
        note = download if arrived > before else _last(steps)
        if note != told:
            told = note
            tell(note)


def _last(steps: Path) -> str:
    lines = steps.read_text().splitlines()
    return lines[-1] if lines else ""


def blobs(model: str, fields: Mapping[str, Any]) -> Path:
    """Where the files of a model of that name arrive. vLLM must be installed."""
    constants = importlib.import_module("huggingface_hub.constants")
    cache = Path(fields.get("download_dir") or constants.HF_HUB_CACHE)
    return cache / f"models--{model.replace('/', '--')}" / "blobs"


def _arrived(blobs: Path | None) -> int:
    """Bytes of files that are not whole yet."""
    total = 0
    for file in blobs.glob("*.incomplete") if blobs is not None else ():
        with contextlib.suppress(OSError):
            total += file.stat().st_size
    return total
