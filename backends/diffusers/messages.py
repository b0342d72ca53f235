"""What the server and an engine's process say to each other: MessagePack, each message after its length.

The server says Load first and then one Draw after another, each when the one before is Done or Failed; Stop while one
is drawn. The process says Loading and one Loaded; to a Draw Step, Shown and Drawn, then Done or Failed.
"""

from __future__ import annotations

import asyncio
import struct
from typing import BinaryIO, Literal, TypeAlias

import msgspec
from msgspec import Struct

Task: TypeAlias = Literal["generate", "edit", "mask"]
Mode: TypeAlias = Literal["RGB", "L"]
Value: TypeAlias = bool | int | float | str

LENGTH = struct.Struct(">I")
LARGEST = 1 << 28


class Malformed(ValueError):
    """What came is no message."""


class Load(Struct, frozen=True, kw_only=True, tag=True):
    """What to load and how. `model` is a folder or the name of a model of the hub's; `call` are arguments that every
    call of the pipeline gets which takes them. Sides of pictures are from `smallest` to `largest` pixels.
    """

    model: str
    revision: str | None = None
    variant: str | None = None
    download: bool = False
    device: str = "auto"
    dtype: str = "auto"
    offload: str = "none"
    vae_tiling: bool = False
    vae_slicing: bool = False
    threads: int = 1
    call: dict[str, Value] = {}
    multiple: int | None = None
    smallest: int = 64
    largest: int = 2048


class Loading(Struct, frozen=True, tag=True):
    """What is under way."""

    note: str


class Ability(Struct, frozen=True, kw_only=True):
    """How a pipeline does one of the tasks. None: it takes no such argument, or has no default.

    `guide` is the argument that is the weight of the prompt, and `guidance` its default. `free`: a negative prompt has
    an effect if `free` is more than 1: the default of the argument that it needs. `guided`: that is the argument
    `guide`. `batches`: several different pictures can be drawn in one call; `several`: it takes several pictures to
    change.
    """

    guide: str | None = None
    guidance: float | None = None
    negative: bool = False
    guided: bool = False
    free: float = 0.0
    steps: int | None = None
    strength: float | None = None
    batches: bool = False
    several: bool = False
    previews: bool = False


class Loaded(Struct, frozen=True, kw_only=True, tag=True):
    """How loading went: `error` is empty when the process can draw.

    Sides are multiples of `multiple`; a picture for which nobody chose a size is `width` times `height` pixels.
    """

    error: str = ""
    pipeline: str = ""
    place: str = ""
    tasks: dict[Task, Ability] = {}
    multiple: int = 8
    width: int = 512
    height: int = 512


class Pixels(Struct, frozen=True, array_like=True):
    """A picture, row by row, without padding: three bytes a pixel, or one in a mask, 255 where it may change."""

    data: bytes
    width: int
    height: int
    mode: Mode = "RGB"


class Piece(Struct, frozen=True, kw_only=True):
    """One picture to draw. `images` and `mask` are places in the pixels of its Draw.

    Up to `partial` times it is shown unfinished.
    """

    prompt: str
    negative_prompt: str = ""
    seed: int
    images: tuple[int, ...] = ()
    mask: int | None = None
    partial: int = 0


class Draw(Struct, frozen=True, kw_only=True, tag=True):
    """Pictures that are alike but for what their pieces say, drawn in one call. `number` is unique."""

    number: int
    task: Task
    width: int
    height: int
    steps: int | None
    guidance: float | None
    strength: float | None
    pieces: tuple[Piece, ...]
    pixels: tuple[Pixels, ...] = ()


class Stop(Struct, frozen=True, tag=True):
    """Nobody wants that Draw any more. It ends as Failed or, if it was almost there, as Done."""

    number: int


class Step(Struct, frozen=True, tag=True):
    """So many of the steps are done."""

    done: int
    steps: int


class Shown(Struct, frozen=True, tag=True):
    """A piece as it looks before it is finished, as a PNG; `partial` counts them from 0."""

    piece: int
    partial: int
    data: bytes


class Drawn(Struct, frozen=True, tag=True):
    """A finished piece as a PNG, none if the model's own check withholds it, and the tokens that its words were."""

    piece: int
    data: bytes | None
    tokens: int


class Done(Struct, frozen=True, tag=True):
    """All pieces were told."""


class Failed(Struct, frozen=True, tag=True):
    """The rest of the pieces does not come: it was stopped, memory did not suffice, or the pipeline failed."""

    why: Literal["stopped", "memory", "failed"]
    text: str = ""


FromServer: TypeAlias = Load | Draw | Stop
FromEngine: TypeAlias = Loading | Loaded | Step | Shown | Drawn | Done | Failed

read_from_server = msgspec.msgpack.Decoder(FromServer).decode
read_from_engine = msgspec.msgpack.Decoder(FromEngine).decode


def packed(message: FromServer | FromEngine) -> bytes:
    """As it is sent. Raises Malformed for one that is too large."""
    data = msgspec.msgpack.encode(message)
    if len(data) > LARGEST:
        raise Malformed(f"a message of {len(data)} bytes")
    return LENGTH.pack(len(data)) + data


def hear(stream: BinaryIO) -> FromServer | None:
    """The next message; None at the end. Blocks. Raises Malformed."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    size = _size(head)
    data = stream.read(size)
    return None if len(data) < size else read_from_server(data)


async def receive(stream: asyncio.StreamReader) -> FromEngine | None:
    """The next message; None when the process has ended. Raises Malformed."""
    try:
        data = await stream.readexactly(_size(await stream.readexactly(LENGTH.size)))
        message: FromEngine = read_from_engine(data)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except msgspec.DecodeError as error:
        raise Malformed(str(error)) from error
    return message


def _size(head: bytes) -> int:
    size: int = LENGTH.unpack(head)[0]
    if size > LARGEST:
        raise Malformed(f"a message of {size} bytes")
    return size
