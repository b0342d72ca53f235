"""espeak-ng as a program: text on its standard input, WAV on its standard output.

What a client wrote is never an argument, and what would be a command in it means nothing: espeak's are written in
control characters and its phonemes in double brackets; markup it reads only when told to.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import unicodedata
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from audio import Clip
from backends.errors import EngineFailed, EngineTimeout

ENVIRONMENT = ("PATH", "ESPEAK_DATA_PATH", "LD_LIBRARY_PATH")
# Seconds, for a sentence or the list of voices.
PATIENCE = 10.0
LARGEST = 1 << 26
HEADER = 44
BRACKETS = re.compile(r"\[(?=\[)")


def harmless(text: str) -> str:
    """The text without what espeak takes for commands or phonemes."""
    plain = "".join(" " if unicodedata.category(sign) in ("Cc", "Cs") else sign for sign in text)
    return BRACKETS.sub("[ ", plain)


async def listed(program: str) -> str:
    """The table of its voices. Raises OSError, EngineFailed or EngineTimeout."""
    return (await _output([program, "--voices"], b"")).decode(errors="replace")


async def said(program: str, voice: str, words: int, text: str) -> Clip:
    """A sentence, at so many words a minute; killed when nobody waits for it any more.

    Raises OSError, EngineFailed or EngineTimeout.
    """
    command = [program, "-b", "1", "-v", voice, "-s", str(words), "--stdout", "--stdin"]
    wav = await _output(command, harmless(text).encode())
    if len(wav) < HEADER or not wav.startswith(b"RIFF") or wav[36:40] != b"data":
        raise EngineFailed("espeak-ng made no sound.")
    rate = int.from_bytes(wav[24:28], "little")
    return Clip(wav[HEADER : len(wav) - (len(wav) - HEADER) % 2], rate)


async def _output(command: Sequence[str], text: bytes) -> bytes:
    async with _running(command) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        written = bytearray()
        try:
            async with asyncio.timeout(PATIENCE):
                with contextlib.suppress(ConnectionError):
                    process.stdin.write(text)
                    await process.stdin.drain()
                    process.stdin.close()
                while piece := await process.stdout.read(1 << 16):
                    written += piece
                    if len(written) > LARGEST:
                        raise EngineFailed("espeak-ng does not come to an end.")
                status = await process.wait()
        except TimeoutError as error:
            raise EngineTimeout(f"espeak-ng took more than {PATIENCE:g} s for a sentence.") from error
    if status:
        raise EngineFailed(f"espeak-ng ended with status {status}.")
    return bytes(written)


@asynccontextmanager
async def _running(command: Sequence[str]) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A process in a session of its own, of which nothing is left afterwards."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        env={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
