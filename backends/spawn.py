"""Processes of our own beside the server's: a module that is run, one line of JSON in, one line of JSON out."""

from __future__ import annotations

import asyncio
import os
import sys

import msgspec
from msgspec import Struct

LONGEST_LINE = 1 << 22


async def spawn(module: str, *arguments: str) -> asyncio.subprocess.Process:
    """Start `python -m module arguments`. Raises OSError.

    It finds our packages where we did, whatever its working directory, and runs in a session of its own, so that
    Ctrl-C in a terminal does not reach it.
    """
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        limit=LONGEST_LINE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


async def ask(process: asyncio.subprocess.Process, question: Struct) -> bytes:
    """The line that answers a question; empty when the process has ended."""
    if process.stdin is None or process.stdout is None:
        return b""
    try:
        process.stdin.write(msgspec.json.encode(question) + b"\n")
        await process.stdin.drain()
        return await process.stdout.readline()
    except ConnectionError:
        return b""
