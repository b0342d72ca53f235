"""Pieces to draw -> what a pipeline is called with: nothing that it does not take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import vision
from backends.diffusers.messages import Ability, Draw, Piece
from backends.diffusers.pipelines import Pipelines, parameters


def arguments(pipelines: Pipelines, ability: Ability, draw: Draw, pieces: Sequence[Piece]) -> dict[str, Any]:
    """Of one call that draws these pieces, with the fixed ones that the settings have."""
    taken = parameters(pipelines.tasks[draw.task])
    given = {**_each(pipelines, ability, draw, pieces), **_all(ability, draw)}
    asked = {name: value for name, value in given.items() if value is not None}
    return {name: value for name, value in {**pipelines.load.call, **asked}.items() if name in taken}


def _each(pipelines: Pipelines, ability: Ability, draw: Draw, pieces: Sequence[Piece]) -> Mapping[str, Any]:
    """What differs from piece to piece: lists, but for a single piece, as some pipelines draw only one at a time."""
    lists: dict[str, list[Any]] = {
        "prompt": [piece.prompt for piece in pieces],
        "negative_prompt": [_unwanted(piece, ability) for piece in pieces],
        "generator": [_noise(pipelines, piece.seed) for piece in pieces],
        "image": [_image(draw, piece) for piece in pieces],
        "mask_image": [None if piece.mask is None else picture(draw, piece.mask) for piece in pieces],
    }
    # All or none of the pieces of a call have pictures, masks and unwanted words.
    return {name: None if each[0] is None else each if len(pieces) > 1 else each[0] for name, each in lists.items()}


def _all(ability: Ability, draw: Draw) -> Mapping[str, Any]:
    """What is the same for all pieces."""
    guide = {} if ability.guide is None else {ability.guide: draw.guidance}
    return {
        **guide,
        "width": draw.width,
        "height": draw.height,
        "num_inference_steps": draw.steps,
        "strength": draw.strength,
        "output_type": "pil",
    }


def _unwanted(piece: Piece, ability: Ability) -> str | None:
    """Pipelines that weigh words by `true_cfg_scale` do so only against others, if only a blank."""
    return piece.negative_prompt or (" " if ability.guide == "true_cfg_scale" else None)


def _noise(pipelines: Pipelines, seed: int) -> Any:
    """On the processor: the same on every device, and for a picture alone as in a batch."""
    return pipelines.torch.Generator("cpu").manual_seed(seed)


def _image(draw: Draw, piece: Piece) -> Any:
    pictures = [picture(draw, place) for place in piece.images]
    return pictures if len(pictures) > 1 else pictures[0] if pictures else None


def picture(draw: Draw, place: int) -> vision.Pixels:
    """One of the pictures that came with it."""
    pixels = draw.pixels[place]
    return vision.unpacked(pixels.data, (pixels.width, pixels.height), pixels.mode)
