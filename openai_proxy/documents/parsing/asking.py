"""A document's bytes -> its text, by a child that reads it."""

from __future__ import annotations

import asyncio

import msgspec

from backends.apart.asker import Nursery
from openai_proxy.documents.parsing.blocks import Unreadable
from openai_proxy.documents.parsing.messages import ANSWER, TASK, Parsed

# A child may use a quarter of a minute of a processor, which may last longer where it has to share that.
PATIENCE = 50.0
# What a character may take on its way, and a block beside its own.
CHARACTER_BYTES = 64

_nursery = Nursery("openai_proxy.documents.parsing.child")
_decode = msgspec.msgpack.Decoder(Parsed).decode


async def read_soon(data: bytes, most_pages: int, most_characters: int) -> Parsed:
    """Its text. Raises Unreadable, also for what could not be read within the limits of a process, or NoDecoder."""
    async with _nursery.in_turn():
        with await _nursery.born() as child:
            try:
                async with asyncio.timeout(PATIENCE):
                    await child.send(TASK.pack(most_pages, most_characters, len(data)))
                    await child.send(data)
                    (size,) = ANSWER.unpack(await child.exactly(ANSWER.size))
                    if size > most_characters * CHARACTER_BYTES:
                        raise EOFError
                    answer = await child.exactly(size)
            except (OSError, EOFError) as error:  # a timeout is an OSError too
                raise Unreadable("It takes too much to read the document.") from error
    read = await asyncio.to_thread(_decode, answer)
    if read.problem:
        raise Unreadable(read.problem, read.fault)
    return read
