"""Sound that nobody vouches for, decoded in a child that may use little."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import AsyncGenerator, Callable

from audio import PIECE_SECONDS, RATE, WIDTH, BadSound, TooLong, told
from backends.apart import sound_child
from backends.apart.asker import LONGEST_REASON, Child, Nursery
from backends.apart.nursery import ASK

# How long a few seconds of sound may take to decode, on a machine that is very busy.
PATIENCE = 20.0
# A piece is so many times as long as it should be where a file has very long frames: FLAC may have 8 seconds in one.
PIECES = 4

_nursery = Nursery("sound_child")


async def pieces_soon(
    data: bytes, longest: float, rate: int = RATE, claimed: Callable[[float], None] = lambda _: None
) -> AsyncGenerator[bytes, None]:
    """16-bit mono PCM of `rate` samples a second, some seconds at a time, each decoded when it is asked for.

    `claimed` is told before the first how many seconds there are by the file's head, if that tells.

    Raises BadSound, TooLong once there are more than `longest` seconds, NoDecoder, or ImportError without the package
    `av`. What a process could not decode within its limits is a BadSound.
    """
    told(data)
    _installed()
    turn = _nursery.turn()
    most, done = longest * rate * WIDTH + WIDTH, 0
    async with turn:
        child = await _nursery.born()
    with child:
        try:
            async with turn, asyncio.timeout(PATIENCE):
                await child.send(sound_child.TASK.pack(longest, rate, len(data)))
                await child.send(data)
            while True:
                async with turn, asyncio.timeout(PATIENCE):
                    piece = await _next_piece(child, PIECES * PIECE_SECONDS * rate * WIDTH, claimed)
                if not piece:
                    return
                done += len(piece)
                if done > most:
                    raise TooLong(f"it is longer than {longest:g} seconds")
                yield piece
        except (OSError, EOFError) as error:  # a timeout is an OSError too
            raise BadSound("it takes too much to read it") from error


def warm() -> None:
    """Starts the process that waits for work, if there is none, so that the first sound need not wait for it.

    Takes a moment; is safe in any thread. Raises NoDecoder, or ImportError without the package `av`.
    """
    _installed()
    if not _nursery.lives():
        raise _nursery.no_decoder()


def _installed() -> None:
    if importlib.util.find_spec("av") is None:
        raise ImportError("the package `av` is not installed")


async def _next_piece(child: Child, most: int, claimed: Callable[[float], None]) -> bytes:
    """Empty at the end. Raises BadSound, TooLong, or EOFError for a child that died or talks nonsense."""
    kind, data = await _answer(child, most)
    if kind == sound_child.CLAIM:
        if len(data) != sound_child.SECONDS.size:
            raise EOFError
        claimed(*sound_child.SECONDS.unpack(data))
        kind, data = await _answer(child, most)
    if kind in (sound_child.SOUND, sound_child.END):
        return data
    error = TooLong if kind == sound_child.LONG else BadSound
    raise error(data.decode(errors="replace")[:LONGEST_REASON])


async def _answer(child: Child, most: int) -> tuple[bytes, bytes]:
    """Its kind and what it holds."""
    await child.send(ASK)
    kind, size = sound_child.ANSWER.unpack(await child.exactly(sound_child.ANSWER.size))
    if size > most:
        raise EOFError
    return kind, bytes(await child.exactly(size))
