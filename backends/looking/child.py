"""The process that reads pictures: `python -m backends.looking.child FOLDER THREADS`.

Standard input: one byte says what follows, a picture (its sides and its RGB pixels) or that nobody waits for the last
one any more. Standard output: one line of JSON when the models are loaded and for each picture (`shapes.Answer`). It
ends when its input does.
"""

from __future__ import annotations

import os
import select
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from backends import telemetry
from backends.looking.shapes import Answer

if TYPE_CHECKING:
    from backends.looking.reader import Reader

PICTURE, CANCEL = b"p", b"c"
# Where cores are short, whoever streams goes first.
LATER = 10
SIDES = struct.Struct("<II")


def main() -> None:
    # Answers leave on a private copy of standard output: whatever native code prints cannot be taken for one.
    replies = os.dup(1)
    os.dup2(2, 1)
    telemetry.switch_off()
    os.nice(LATER)
    try:
        from backends.looking.reader import Reader
    except ImportError as error:
        _tell(replies, Answer(error=f"a package of the extra 'vision' is missing: {error}"))
        return
    folder, threads = sys.argv[1:]
    _tell(replies, Answer())
    try:
        reader = Reader(Path(folder), int(threads))
    except (RuntimeError, OSError) as error:  # what onnxruntime raises is the former
        _tell(replies, Answer(error=f"the models cannot be loaded: {error}"))
        return
    while kind := os.read(0, 1):
        if kind == PICTURE:
            _tell(replies, _answer(reader))


def _answer(reader: Reader) -> Answer:
    from PIL import Image

    from backends.looking.colours import colours
    from backends.looking.reader import Abandoned

    width, height = SIDES.unpack(_exactly(SIDES.size))
    picture = Image.frombytes("RGB", (width, height), _exactly(width * height * 3))
    try:
        reading = reader.read(picture, _canceled)
    except Abandoned:
        return Answer()
    return Answer(msgspec.structs.replace(reading, colours=colours(picture)))


def _canceled() -> bool:
    """Nobody sends anything else before there is an answer."""
    if select.select([0], [], [], 0)[0]:
        return os.read(0, 1) in (CANCEL, b"")
    return False


def _exactly(size: int) -> bytes:
    """Raises EOFError when there is less."""
    data = bytearray(size)
    view, got = memoryview(data), 0
    while got < size:
        more = os.readv(0, [view[got:]])
        if not more:
            raise EOFError
        got += more
    return bytes(data)


def _tell(replies: int, answer: Answer) -> None:
    os.write(replies, msgspec.json.encode(answer) + b"\n")


if __name__ == "__main__":
    main()
