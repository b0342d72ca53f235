"""A request for pictures -> what is to be drawn. What the model cannot do is refused by the field's name."""

from __future__ import annotations

import secrets
from typing import TypeAlias

from msgspec import Struct

import vision
from backends import Sides
from backends.diffusers.messages import LARGEST, Ability, Loaded, Piece, Pixels, Task
from backends.diffusers.options import Options, sides
from backends.errors import Refused, Unsupported
from backends.requests import EFFORTS, ImageRequest

Size: TypeAlias = tuple[int, int]

WORDS: dict[Task, str] = {
    "generate": "draw from words alone",
    "edit": "change pictures without a mask",
    "mask": "change what a mask shows",
}
SEEDS = 1 << 63
# Bytes of pixels that go with one call.
ROOM = LARGEST * 3 // 4


class Look(Struct, frozen=True):
    """What pictures have in common that can be drawn in one call."""

    task: Task
    width: int
    height: int
    steps: int | None
    guidance: float | None
    strength: float | None
    negative: bool


class Order(Struct, frozen=True):
    """Pictures of one request, with the pixels that they begin with. `together`: others may be drawn in their call."""

    look: Look
    pieces: tuple[Piece, ...]
    pixels: tuple[Pixels, ...]
    together: bool

    @property
    def size(self) -> int:
        """Of its pixels, in bytes."""
        return sum(len(each.data) for each in self.pixels)


def task_of(request: ImageRequest, loaded: Loaded) -> Task:
    """The pipeline that is meant. Raises Unsupported where there is none."""
    task: Task = "generate" if request.task == "generate" else "edit" if request.mask is None else "mask"
    ability = loaded.tasks.get(task)
    if request.task == "vary" and (ability is None or ability.strength is None):
        raise Unsupported("This model does not make variations.", param="model")
    if ability is None:
        raise Unsupported(f"This model does not {WORDS[task]}.", param="mask" if request.mask else "model")
    if len(request.images) > 1 and not ability.several:
        raise Unsupported("This model takes one picture.", param="image")
    return task


def ordered(
    request: ImageRequest,
    loaded: Loaded,
    options: Options,
    images: list[vision.Pixels],
    mask: vision.Pixels | None,
) -> Order:
    """Raises Refused or Unsupported. Takes as long as resizing takes."""
    task = task_of(request, loaded)
    ability = loaded.tasks[task]
    width, height = _size(request, loaded, options, images[0].size if images else None)
    strength = _strength(request, ability, options)
    steps = _steps(request, ability, options, strength)
    guidance = _guidance(request, ability, options)
    if request.partial and not ability.previews:
        raise Unsupported("This model cannot show unfinished pictures of that.", param="partial_images")
    look = Look(task, width, height, steps, guidance, strength, bool(request.negative_prompt))
    pixels = [_pixels(image, (width, height)) for image in images]
    if mask is not None:
        pixels.append(_opening(mask, (width, height)))
    order = Order(look, _pieces(request, len(images)), tuple(pixels), ability.batches)
    if order.size > ROOM:
        raise Refused("The pictures are too large together.", param="image")
    return order


def _pieces(request: ImageRequest, images: int) -> tuple[Piece, ...]:
    first = secrets.randbelow(SEEDS) if request.seed is None else request.seed
    return tuple(
        Piece(
            prompt=request.prompt,
            negative_prompt=request.negative_prompt,
            seed=(first + number) % SEEDS,
            images=tuple(range(images)),
            mask=None if request.mask is None else images,
            partial=request.partial,
        )
        for number in range(request.n)
    )


def _size(request: ImageRequest, loaded: Loaded, options: Options, first: Size | None) -> Size:
    """What was asked for; else that of the picture to change, as near as the model comes; else the usual one."""
    multiple, smallest, largest = loaded.multiple, options.smallest, options.largest
    if request.width is not None and request.height is not None:
        asked, allowed = (request.width, request.height), Sides(smallest, largest, multiple)
        if not allowed.allow(asked):
            raise Refused(f"size: the sides of this model's pictures are {allowed}.", param="size")
        return asked
    if first is None:
        return sides(options.size) if options.size else (loaded.width, loaded.height)
    if options.sizes:
        return min(map(sides, options.sizes), key=lambda size: _distance(size, first))
    shrunk = min(1.0, largest / max(first))
    width, height = (_fitting(side * shrunk, multiple, smallest, largest) for side in first)
    return width, height


def _fitting(side: float, multiple: int, smallest: int, largest: int) -> int:
    low, high = -(-smallest // multiple), max(1, largest // multiple)
    return multiple * min(max(round(side / multiple), low), high)


def _distance(size: Size, wanted: Size) -> float:
    """How ill a size fits: another shape is worse than another scale."""
    shape = (size[0] * wanted[1]) / (size[1] * wanted[0])
    scale = (size[0] * size[1]) / (wanted[0] * wanted[1])
    return 10 * max(shape, 1 / shape) + max(scale, 1 / scale)


def _strength(request: ImageRequest, ability: Ability, options: Options) -> float | None:
    if ability.strength is None:
        if request.strength is not None:
            raise Unsupported("This model does not support strength for that.", param="strength")
        return None
    if request.strength is not None:
        return request.strength
    return options.strength or ability.strength


def _steps(request: ImageRequest, ability: Ability, options: Options, strength: float | None) -> int | None:
    if ability.steps is None:
        asked = "num_inference_steps" if request.steps is not None else "quality"
        if request.steps is not None or request.effort != 1.0:
            raise Unsupported(f"This model does not support {asked} for that.", param=asked)
        return None
    steps = request.steps or usual_steps(request.effort, ability.steps, options)
    if steps > options.max_steps:
        name = "quality" if request.steps is None else "num_inference_steps"
        raise Refused(f"{name}: that would be {steps} steps; at most {options.max_steps} are taken.", param=name)
    if strength is not None and int(steps * strength) < 1:
        raise Refused(f"strength: {strength:g} of {steps} steps is not one step.", param="strength")
    return steps


def usual_steps(effort: float, own: int, options: Options) -> int:
    """Those of a picture for which so much effort was asked, where the pipeline by itself takes `own`."""
    configured = {EFFORTS[quality]: steps for quality, steps in options.qualities.items()}
    return configured.get(effort) or max(1, round((options.steps or own) * effort))


def _guidance(request: ImageRequest, ability: Ability, options: Options) -> float | None:
    if request.guidance is not None and ability.guide is None:
        raise Unsupported("This model does not support guidance_scale for that.", param="guidance_scale")
    guidance = options.guidance if request.guidance is None else request.guidance
    if request.negative_prompt:
        _check_negative(ability, guidance)
    return guidance if ability.guide is not None else None


def _check_negative(ability: Ability, guidance: float | None) -> None:
    if not ability.negative:
        raise Unsupported("This model does not support negative_prompt for that.", param="negative_prompt")
    weight = guidance if ability.guided and guidance is not None else ability.free
    if weight <= 1:
        name = "a guidance_scale" if ability.guided else "the setting true_cfg_scale"
        raise Refused(f"negative_prompt has an effect with {name} of more than 1.", param="negative_prompt")


def _pixels(image: vision.Pixels, size: Size) -> Pixels:
    return Pixels(image.resize(size).tobytes(), *size)


def _opening(mask: vision.Pixels, size: Size) -> Pixels:
    """OpenAI's masks are transparent where a picture may change, Diffusers' are white there."""
    return Pixels(mask.resize(size).point(lambda opacity: 255 - opacity).tobytes(), *size, mode="L")
