"""The `options` table of a Diffusers model."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from backends import Setup
from backends.diffusers.messages import Load, Value
from backends.options import read_options

Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Side: TypeAlias = Annotated[int, Meta(ge=16, le=4096)]
Quality: TypeAlias = Literal["low", "high", "xhigh", "max"]
Share: TypeAlias = Annotated[float, Meta(gt=0, le=1)]
Weight: TypeAlias = Annotated[float, Meta(ge=0, le=100)]

DEVICE = re.compile(r"auto|cpu|mps|(cuda|xpu)(:[0-9]{1,2})?")
SIZE = re.compile(r"([0-9]{1,5})x([0-9]{1,5})")
# What the server says itself when it calls a pipeline, or what would be no picture any more.
OURS = frozenset(
    [
        *("prompt", "negative_prompt", "image", "mask_image", "width", "height", "num_inference_steps", "strength"),
        *("generator", "num_images_per_prompt", "output_type", "return_dict", "latents", "callback"),
        *("callback_steps", "callback_on_step_end", "callback_on_step_end_tensor_inputs"),
    ]
)


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for a model of the backend `diffusers`. `model` itself is a setting beside the options."""

    revision: Annotated[str | None, Meta(description="branch, tag or commit of a model of the hub's")] = None
    variant: Annotated[str | None, Meta(description="which of several sets of weights, such as fp16")] = None
    download: Annotated[bool, Meta(description="fetch from the hub what is not on this machine")] = False
    device: Annotated[str, Meta(description="auto: a GPU if there is one; cpu, cuda, cuda:1, xpu, mps")] = "auto"
    dtype: Annotated[
        Literal["auto", "float32", "float16", "bfloat16"],
        Meta(description="number type of the weights; auto: float32 on the processor, else bfloat16 or float16"),
    ] = "auto"
    offload: Annotated[
        Literal["none", "model", "sequential"],
        Meta(description="what leaves the GPU while it is not needed: whole models, or layer by layer (slow)"),
    ] = "none"
    vae_tiling: Annotated[bool, Meta(description="decode large pictures in tiles: less memory")] = False
    vae_slicing: Annotated[bool, Meta(description="decode the pictures of a batch one by one: less memory")] = False
    threads: Annotated[Positive | None, Meta(description="processor threads; cores - 1 if absent")] = None
    steps: Annotated[Positive | None, Meta(description="steps of a picture; the pipeline's own if absent")] = None
    qualities: Annotated[
        dict[Quality, Positive],
        Meta(description="steps by quality, such as `{ low = 2, high = 8 }`; others by `steps`"),
    ] = {}
    max_steps: Annotated[Positive, Meta(description="steps that a request may ask for")] = 150
    guidance: Annotated[
        Weight | None, Meta(description="weight of the prompt where none is asked for; the pipeline's own if absent")
    ] = None
    strength: Annotated[
        Share | None, Meta(description="how far pictures change where nobody says so; the pipeline's own if absent")
    ] = None
    size: Annotated[str | None, Meta(description="of pictures for which none is asked, such as 1024x1024")] = None
    sizes: Annotated[
        tuple[str, ...], Meta(description="sizes that may be asked for; any within the next three if absent")
    ] = ()
    smallest: Annotated[Side, Meta(description="pixels of a side, at least")] = 64
    largest: Annotated[Side, Meta(description="pixels of a side, at most")] = 2048
    multiple: Annotated[Positive | None, Meta(description="sides are multiples of it; by the pipeline if absent")] = (
        None
    )
    max_batch: Annotated[
        Positive, Meta(description="pictures drawn together, of one request or of several that are alike")
    ] = 4
    gather: Annotated[
        float, Meta(ge=0, le=1, description="seconds that the first request waits for others like it")
    ] = 0.02
    call: Annotated[
        dict[str, Value], Meta(description="further arguments of the pipeline's call, under its own names")
    ] = {}

    @classmethod
    def read(cls, setup: Setup) -> Options:
        """The options of a model, after a look at all its settings. Raises ValueError with one clear sentence."""
        place = f"model {setup.name}"
        for setting in ("engine", "adapters", "upstreams"):
            if getattr(setup, setting):
                raise ValueError(f"{place}: diffusers has no setting {setting!r}; it takes options")
        if not setup.model:
            raise ValueError(f"{place}: diffusers needs the setting 'model': a folder, or \"organisation/name\"")
        options = read_options(cls, place, "diffusers", setup.options)
        options.check(place)
        return options

    def check(self, place: str) -> None:
        """Raises ValueError for what contradicts itself."""
        if DEVICE.fullmatch(self.device) is None:
            raise ValueError(f"{place}: device must be auto, cpu, mps, cuda, cuda:1 and so on, or xpu")
        if self.smallest > self.largest:
            raise ValueError(f"{place}: smallest is more than largest")
        for text in filter(None, (self.size, *self.sizes)):
            if not all(self.smallest <= side <= self.largest for side in sides(text)):
                raise ValueError(f"{place}: {text!r} is no size such as 1024x1024, or not within smallest and largest")
        for name in self.call:
            if name in OURS:
                raise ValueError(f"{place}: call cannot set {name!r}, which requests and other options decide")

    def load(self, model: str) -> Load:
        """What the engine's process is told."""
        return Load(
            model=str(Path(model).expanduser()) if is_folder(model) else model,
            revision=self.revision,
            variant=self.variant,
            download=self.download,
            device=self.device,
            dtype=self.dtype,
            offload=self.offload,
            vae_tiling=self.vae_tiling,
            vae_slicing=self.vae_slicing,
            threads=self.threads or max(1, _cores() - 1),
            call=self.call,
            multiple=self.multiple,
            smallest=self.smallest,
            largest=self.largest,
        )


def sides(text: str) -> tuple[int, int]:
    """Of "1024x768"; zeros for what is no size."""
    found = SIZE.fullmatch(text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def is_folder(model: str) -> bool:
    """Whether this names a folder, not a model of the hub's."""
    return model.startswith(("/", ".", "~"))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
