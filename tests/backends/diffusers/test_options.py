"""Settings of a model that draws, and what becomes of a request with them; nothing is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backends import Setup, lacking
from backends.diffusers import Diffusers
from backends.diffusers.backend import _steps
from backends.diffusers.messages import Ability, Loaded, Malformed, packed
from backends.diffusers.options import Options
from backends.diffusers.order import ordered
from backends.diffusers.steps import moments
from backends.errors import Refused
from backends.requests import ImageRequest

USUAL = Ability(guide="guidance_scale", guidance=5.0, negative=True, guided=True, free=5.0, steps=20, previews=True)
DISTILLED = Ability(guide="guidance_scale", guidance=3.5, negative=True, free=1.0, steps=4)
BARE = Ability()


def setup(**options: Any) -> Setup:
    return Setup(name="m", model="organisation/name", options=options)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "gpu"}, "device must be auto, cpu"),
        ({"dtype": "int8"}, "dtype must be one of"),
        ({"offload": "disk"}, "offload must be one of"),
        ({"size": "wide"}, "'wide' is no size"),
        ({"sizes": ["64x64", "8000x64"]}, "'8000x64' is no size"),
        ({"smallest": 512, "largest": 256}, "smallest is more than largest"),
        ({"call": {"prompt": "x"}}, "call cannot set 'prompt'"),
        ({"max_batch": 0}, "max_batch must be a whole number from 1"),
        ({"stepz": 3}, "did you mean 'steps'"),
    ],
)
def test_settings_that_are_wrong(options: Any, says: str) -> None:
    with pytest.raises(ValueError, match="model m: ") as caught:
        Options.read(setup(**options))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "more", [{"model": None}, {"engine": {"dtype": "half"}}, {"adapters": {"a": "b"}}, {"upstreams": [{"url": "u"}]}]
)
def test_settings_beside_the_options(more: Any) -> None:
    with pytest.raises(ValueError, match="diffusers"):
        Diffusers(Setup(**{"name": "m", "model": "a/b", **more}))


def test_settings_reach_the_engine_and_the_model() -> None:
    options = {"sizes": ["64x96"], "call": {"max_sequence_length": 512}, "offload": "model", "dtype": "float16"}
    backend = Diffusers(setup(**options, device="cuda:1", vae_tiling=True, vae_slicing=True, max_batch=3))
    load = backend.options.load("organisation/name")
    assert (load.model, load.device, load.dtype, load.offload) == ("organisation/name", "cuda:1", "float16", "model")
    assert (load.vae_tiling, load.vae_slicing, load.call) == (True, True, {"max_sequence_length": 512})
    assert (backend.slots, backend.model.sizes, backend.model.certain) == (6, ((64, 96),), False)
    assert load.download is False


def test_a_folder_without_a_pipeline_is_told(tmp_path: Path) -> None:
    [lack] = lacking("diffusers", Setup(name="m", model=str(tmp_path)))
    assert lack.path == ("model",)
    assert "model_index.json" in lack.problem
    assert list(lacking("diffusers", setup())) == []


def look(ability: Ability, options: Any = None, **fields: Any) -> Any:
    asked = ImageRequest(model="m", prompt="a", **fields)
    loaded = Loaded(tasks={"generate": ability}, multiple=16, width=512, height=768)
    return ordered(asked, loaded, Options.read(setup(**(options or {}))), [], None).look


@pytest.mark.parametrize(
    ("options", "fields", "steps"),
    [
        ({}, {}, 20),
        ({}, {"effort": 0.5}, 10),
        ({}, {"effort": 4.0}, 80),
        ({"steps": 4}, {"effort": 2.0}, 8),
        ({"steps": 4, "qualities": {"high": 5}}, {"effort": 2.0}, 5),
        ({"qualities": {"high": 5}}, {"steps": 7}, 7),
        ({"steps": 1}, {"effort": 0.5}, 1),
    ],
)
def test_steps(options: Any, fields: Any, steps: int) -> None:
    assert look(USUAL, options, **fields).steps == steps


def test_the_steps_that_are_told() -> None:
    loaded = Loaded(tasks={"edit": BARE, "generate": USUAL})
    options = Options.read(setup(steps=5, qualities={"high": 6}, max_steps=15))
    assert dict(_steps(loaded, options)) == {"low": 2, "medium": 5, "high": 6, "xhigh": 15}
    assert dict(_steps(Loaded(tasks={"edit": BARE}), options)) == {}


def test_sizes_and_guidance() -> None:
    assert (look(USUAL).width, look(USUAL).height) == (512, 768)
    assert look(USUAL, {"size": "64x128"}).height == 128
    assert look(USUAL).guidance is None
    assert look(USUAL, {"guidance": 0.0}).guidance == 0.0
    assert look(USUAL, {"guidance": 0.0}, guidance=2.0).guidance == 2.0


@pytest.mark.parametrize(
    ("ability", "options", "fields", "param"),
    [
        (USUAL, {}, {"steps": 151}, "num_inference_steps"),
        (USUAL, {"max_steps": 30}, {"effort": 2.0}, "quality"),
        (USUAL, {}, {"width": 520, "height": 512}, "size"),
        (USUAL, {"guidance": 0.0}, {"negative_prompt": "x"}, "negative_prompt"),
        (DISTILLED, {}, {"negative_prompt": "x", "guidance": 9.0}, "negative_prompt"),
        (DISTILLED, {}, {"partial": 1}, "partial_images"),
        (BARE, {}, {"negative_prompt": "x"}, "negative_prompt"),
        (BARE, {}, {"guidance": 2.0}, "guidance_scale"),
        (BARE, {}, {"steps": 2}, "num_inference_steps"),
        (BARE, {}, {"effort": 2.0}, "quality"),
        (BARE, {}, {"strength": 0.5}, "strength"),
        (BARE, {}, {"task": "edit"}, "model"),
        (BARE, {}, {"task": "vary"}, "model"),
    ],
)
def test_what_a_pipeline_does_not_take_is_refused_by_name(ability: Any, options: Any, fields: Any, param: str) -> None:
    with pytest.raises(Refused) as caught:
        look(ability, options, **fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("partial", "steps", "after"), [(0, 9, set()), (1, 4, {2}), (3, 4, {1, 2, 3}), (3, 2, {1}), (3, 1, set())]
)
def test_moments_to_show_a_picture(partial: int, steps: int, after: set[int]) -> None:
    assert moments(partial, steps) == after


def test_messages_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.diffusers.messages.LARGEST", 100)
    packed(Loaded())
    with pytest.raises(Malformed):
        packed(Loaded(error="x" * 100))
