"""The backend `emoji`: draws what it knows, in colour, on white or on nothing, in a process of its own."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

import vision
from backends import Model, Setup, media
from backends.emoji.asking import Answer, Order, Sent, Shown
from backends.errors import OtherKind
from backends.events import Event, Picture, Progress, Usage
from backends.options import read_options
from backends.requests import EFFORTS, ImageRequest, Request
from backends.workshop import Resident

if TYPE_CHECKING:
    from vision import Pixels

SIZES = (
    *((64, 64), (128, 128), (256, 256), (512, 512), (1024, 1024)),
    *((1024, 1536), (1536, 1024), (1024, 1792), (1792, 1024)),
)
USUAL = (512, 512)
LONGEST = 1792
STEPS, MOST_STEPS = 12, 100
GUIDANCE, MOST_GUIDANCE = 1.5, 5.0
# How much of a picture changes unless the request says: all of what a mask lets change.
EDITED, VARIED, MASKED = 0.8, 0.6, 1.0
# What a picture is in tokens: an area of 16 by 16 pixels of the 128 by 128 that are painted is one.
TOKENS = 64


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for such a model."""

    threads: Annotated[
        Annotated[int, Meta(ge=1, le=1024)] | None,
        Meta(description="requests drawn at once, by a processor thread each; cores - 1 if absent"),
    ] = None

    @property
    def most(self) -> int:
        return self.threads or max(1, (os.cpu_count() or 1) - 1)


class Emoji(Resident[Answer]):
    """Options: `Options`. Requests share the threads, step by step in turn."""

    model = Model(
        kinds=frozenset({"image"}),
        parameters=frozenset(
            {"edit", "vary", "mask", "seed", "steps", "effort", "guidance", "negative_prompt", "strength"}
            | {"transparent", "partial"}
        ),
        sizes=SIZES,
        steps={quality: round(STEPS * effort) for quality, effort in EFFORTS.items()},
        description="draws emoji-like pictures of common things, in colours that are asked for; 128x128, enlarged",
    )

    def __init__(self, setup: Setup) -> None:
        setup.refuse_engine("emoji")
        self.options = read_options(Options, f"model {setup.name}", "emoji", setup.options)
        super().__init__(setup, "backends.emoji.engine:Draughtsman", Answer, slots=8, most=self.options.most)

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Draw, step by step; closed or canceled, it makes no further one. Raises BadImage."""
        if not isinstance(request, ImageRequest):
            raise OtherKind
        images, mask = await media.pictures(request, LONGEST)
        order = await vision.soon(ordered, request, images, mask)
        words = 0
        yield Progress(0.0, "drawing")
        with self._quarantine.running(request):
            async with aclosing(self._workshop.ask(order)) as answers:
                async for answer in answers:
                    if isinstance(answer, Shown):
                        yield Picture(answer.png, answer.index, answer.partial)
                    elif answer is not None:
                        words = answer.words
                        yield Progress(answer.fraction, "drawing")
        seen = TOKENS * len(images)
        yield Usage(prompt=words + seen, completion=TOKENS * request.n, pictures=seen)


def ordered(request: ImageRequest, images: list[Pixels], mask: Pixels | None) -> Order:
    """The request as the engine is asked."""
    size = _size(request, images)
    seed = secrets.randbits(32) if request.seed is None else request.seed % 2**64
    usual = EDITED if request.task == "edit" else VARIED
    return Order(
        prompt=request.prompt,
        negative=request.negative_prompt,
        seeds=tuple((seed + index) % 2**64 for index in range(request.n)),
        steps=min(request.steps or round(STEPS * request.effort), MOST_STEPS),
        guidance=min(GUIDANCE if request.guidance is None else request.guidance, MOST_GUIDANCE),
        width=size[0],
        height=size[1],
        transparent=request.transparent,
        partial=request.partial,
        source=_sent(images[0].resize(size)) if images else None,
        mask=None if mask is None else _sent(mask.resize(size)),
        strength=(usual if mask is None else MASKED) if request.strength is None else request.strength,
    )


def _size(request: ImageRequest, images: list[Pixels]) -> tuple[int, int]:
    """As asked, else as the picture has it that is edited, if that is not too large."""
    if request.width is not None and request.height is not None:
        return request.width, request.height
    if not images:
        return USUAL
    scale = min(1.0, LONGEST / max(images[0].size))
    return max(1, round(images[0].width * scale)), max(1, round(images[0].height * scale))


def _sent(picture: Pixels) -> Sent:
    return Sent(picture.tobytes(), *picture.size)
