"""One set of weights and the pipelines that draw with it: in the engine's process, the only one with PyTorch in it."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from backends.diffusers.messages import Ability, Load, Task

AUTO: Mapping[Task, str] = {
    "generate": "AutoPipelineForText2Image",
    "edit": "AutoPipelineForImage2Image",
    "mask": "AutoPipelineForInpainting",
}
# These take a list of pictures as things to look at; for others it is a batch.
SEVERAL = frozenset({"Flux2Pipeline", "Flux2KleinPipeline", "QwenImageEditPlusPipeline"})
# Of a side, where a pipeline has no usual size of its own.
USUAL = 1024


class Index(Struct, rename={"name": "_class_name"}):
    """Of a pipeline's files: its class. A list instead is code of the model's own."""

    name: str


class Unloadable(ValueError):
    """The model cannot be drawn with; the message says why."""


def quiet(load: Load) -> None:
    """Before anything is imported: nothing is fetched unless it was asked for, and nothing is told to anybody."""
    if not load.download:
        os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "DIFFUSERS_VERBOSITY": "error"}


def check_folder(model: str) -> None:
    """What can be said of a folder before anything is imported. Raises Unloadable, for one that brings code too."""
    index = Path(model) / "model_index.json"
    if not Path(model).is_dir():
        return
    try:
        named = msgspec.json.decode(index.read_bytes(), type=Index).name
    except (OSError, msgspec.MsgspecError) as error:
        raise Unloadable(f"there is no model_index.json that names a pipeline of Diffusers': {error}") from error
    if not named.isidentifier():
        raise Unloadable("model_index.json names no pipeline of Diffusers'")


class Pipelines:
    """Loaded weights. `tasks` are the pipelines by what they do; all have the same weights."""

    def __init__(self, load: Load, told: Callable[[str], None]) -> None:
        check_folder(load.model)
        told("importing Diffusers")
        import diffusers
        import torch

        self.load = load
        self.torch = torch
        self.device = _device(torch, load.device)
        self.dtype = _dtype(torch, load.dtype, self.device)
        if self.device == "cpu":
            torch.set_num_threads(load.threads)
            if load.offload != "none":
                raise Unloadable("offload is for GPUs, and there is none")
        told("loading the weights")
        self.whole = diffusers.DiffusionPipeline.from_pretrained(
            load.model,
            revision=load.revision,
            variant=load.variant,
            dtype=getattr(torch, self.dtype),
            use_safetensors=True,
            trust_remote_code=False,
            local_files_only=not load.download,
        )
        self.tasks = _tasks(diffusers, self.whole)
        self._ready: Any = None
        self._place()

    def _place(self) -> None:
        """Onto the device, with the settings of what decodes."""
        for setting, method in (("vae_tiling", "enable_tiling"), ("vae_slicing", "enable_slicing")):
            if getattr(self.load, setting):
                switch = getattr(getattr(self.whole, "vae", None), method, None)
                if switch is None:
                    raise Unloadable(f"{setting}: this pipeline has no VAE that can do so")
                switch()
        if self.load.offload == "none":
            self.whole.to(self.device)
        elif self.load.offload == "sequential":
            self.whole.enable_sequential_cpu_offload(device=self.device)
        for pipeline in self.tasks.values():
            pipeline.set_progress_bar_config(disable=True)

    def of(self, task: Task) -> Any:
        """The pipeline of a task, ready to be called."""
        pipeline = self.tasks[task]
        if self.load.offload == "model" and self._ready is not pipeline:
            pipeline.enable_model_cpu_offload(device=self.device)
            self._ready = pipeline
        return pipeline

    def give_back(self) -> None:
        """What the card's memory holds of things that are gone."""
        if self.device.startswith("cuda"):
            self.torch.cuda.empty_cache()

    def abilities(self) -> dict[Task, Ability]:
        """What each pipeline takes. Raises Unloadable for a fixed argument that none takes."""
        taken = {task: parameters(pipeline) for task, pipeline in self.tasks.items()}
        for name in self.load.call:
            if not any(name in each for each in taken.values()):
                raise Unloadable(f"call: {type(self.whole).__name__} takes no {name!r}")
        return {task: self._ability(self.tasks[task], each) for task, each in taken.items()}

    def _ability(self, pipeline: Any, taken: Mapping[str, inspect.Parameter]) -> Ability:
        guide = _guide(pipeline, taken)
        free = "true_cfg_scale" if "true_cfg_scale" in taken else "guidance_scale"
        return Ability(
            guide=guide,
            guidance=self._default(taken, guide),
            negative="negative_prompt" in taken,
            guided=free == guide,
            free=self._default(taken, free) or 0.0,
            steps=_whole(self._default(taken, "num_inference_steps")),
            strength=self._default(taken, "strength"),
            batches="image" not in taken or "strength" in taken,
            several=type(pipeline).__name__ in SEVERAL,
        )

    def _default(self, taken: Mapping[str, inspect.Parameter], name: str | None) -> float | None:
        if name is None or name not in taken:
            return None
        value = self.load.call.get(name, taken[name].default)
        return float(value) if isinstance(value, int | float) else None

    def multiple(self) -> int:
        """What sides have to be multiples of: a VAE's scale, and a transformer's patches of two or more."""
        if self.load.multiple is not None:
            return self.load.multiple
        scale = int(getattr(self.whole, "vae_scale_factor", None) or 8)
        transformer = getattr(self.whole, "transformer", None)
        if transformer is None:
            return scale
        patch = transformer.config.get("patch_size")
        return scale * max(2, patch if isinstance(patch, int) else 2)

    def size(self) -> tuple[int, int]:
        """Of a picture for which nobody chose one, within the bounds."""
        taken = parameters(next(iter(self.tasks.values())))
        width, height = (_side(self.whole, taken, side) for side in ("width", "height"))
        multiple = self.multiple()
        low, high = -(-self.load.smallest // multiple), max(1, self.load.largest // multiple)
        return multiple * min(max(width // multiple, low), high), multiple * min(max(height // multiple, low), high)


def parameters(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    """Of its call."""
    return inspect.signature(type(pipeline).__call__).parameters


def _tasks(diffusers: Any, whole: Any) -> dict[Task, Any]:
    """The pipelines that Diffusers knows for these weights; if it knows none, what this one takes says what it does."""
    found: dict[Task, Any] = {}
    for task, name in AUTO.items():
        try:
            found[task] = getattr(diffusers, name).from_pipe(whole)
        except ValueError:
            continue
    if found:
        return found
    taken = parameters(whole)
    if "prompt" not in taken or "generator" not in taken:
        raise Unloadable(f"{type(whole).__name__} draws no pictures from words")
    return {"mask" if "mask_image" in taken else "edit" if "image" in taken else "generate": whole}


def _guide(pipeline: Any, taken: Mapping[str, inspect.Parameter]) -> str | None:
    """The argument that is the weight of the prompt.

    Where there are two, `guidance_scale` is for models that were taught it, and does nothing for others.
    """
    if "true_cfg_scale" not in taken:
        return "guidance_scale" if "guidance_scale" in taken else None
    if "guidance_scale" not in taken or taken["guidance_scale"].default is None:
        return "true_cfg_scale"
    transformer = getattr(pipeline, "transformer", None)
    taught = transformer is None or transformer.config.get("guidance_embeds", True)
    return "guidance_scale" if taught else "true_cfg_scale"


def _side(whole: Any, taken: Mapping[str, inspect.Parameter], side: str) -> int:
    own = taken[side].default if side in taken else None
    if isinstance(own, int):
        return own
    sample = getattr(whole, "default_sample_size", None)
    for part in ("unet", "transformer"):
        if sample is None and getattr(whole, part, None) is not None:
            sample = getattr(whole, part).config.get("sample_size")
    scale = getattr(whole, "vae_scale_factor", None)
    return sample * scale if isinstance(sample, int) and isinstance(scale, int) else USUAL


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _device(torch: Any, wanted: str) -> str:
    if wanted != "auto":
        return wanted
    for name in ("cuda", "xpu"):
        part = getattr(torch, name, None)
        if part is not None and part.is_available():
            return name
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _dtype(torch: Any, wanted: str, device: str) -> str:
    if wanted != "auto":
        return wanted
    if device == "cpu":
        return "float32"
    return "float16" if device.startswith("cuda") and not torch.cuda.is_bf16_supported() else "bfloat16"
