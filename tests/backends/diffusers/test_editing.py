"""Pictures that change: edits, with a mask and without, and variations; and what is refused by the field's name."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.backends.diffusers.asking import SIDE, apart, generate, mask, opened, photograph, photographed
from tests.backends.diffusers.conftest import MANY
from tests.pictures import picture

pytestmark = [pytest.mark.diffusers, pytest.mark.filterwarnings("ignore::DeprecationWarning")]

LEFT, RIGHT = (0, 0, SIDE // 2, SIDE), (SIDE // 2, 0, SIDE, SIDE)


def edited(client: openai.OpenAI, **fields: Any) -> Any:
    asked = {"model": "draws", "prompt": "a door", "image": ("a.png", photograph()), **fields}
    return client.images.edit(**asked | {"extra_body": {"seed": 5, **fields.get("extra_body", {})}})


def changed(client: openai.OpenAI, **fields: Any) -> Any:
    return opened(edited(client, **fields).data[0])


def varied(client: openai.OpenAI, **fields: Any) -> Any:
    asked = {"model": "draws", "image": ("a.png", photograph()), **fields}
    return client.images.create_variation(**asked | {"extra_body": {"seed": 5, **fields.get("extra_body", {})}})


def test_a_mask_says_what_changes(client: openai.OpenAI) -> None:
    answer = edited(client, mask=("m.png", mask()))
    made = opened(answer.data[0])
    assert made.crop(RIGHT).tobytes() == photographed().crop(RIGHT).tobytes()
    assert apart(made.crop(LEFT), photographed().crop(LEFT)) > 10
    assert (answer.usage.input_tokens_details.image_tokens, answer.usage.output_tokens) == (16, 16)


@pytest.mark.parametrize(
    "fields",
    [{"prompt": "a window"}, {"extra_body": {"seed": 6}}, {"extra_body": {"strength": 0.9}}, {"mask": ("m", mask())}],
)
def test_what_changes_an_edit(client: openai.OpenAI, fields: Any) -> None:
    again = changed(client)
    assert again.tobytes() == changed(client).tobytes()
    assert again.tobytes() != changed(client, **fields).tobytes()


def test_strength_is_how_far_a_picture_changes(client: openai.OpenAI) -> None:
    """Even the least goes through the VAE, whose weights are as random as the others."""
    weak, strong = (changed(client, extra_body={"strength": each, "num_inference_steps": 20}) for each in (0.05, 1.0))
    usual = changed(client, extra_body={"num_inference_steps": 20})
    assert 0 < apart(weak, usual) < apart(weak, strong)


def test_an_edit_has_the_size_of_its_picture_as_near_as_the_model_comes(client: openai.OpenAI) -> None:
    assert edited(client, image=("a", picture(size=(81, 66)))).size in ("80x66", "82x66")
    assert edited(client, image=("a", picture(size=(1000, 500)))).size == "256x128"
    assert edited(client, image=("a", picture(size=(20, 10)))).size == "64x64"
    assert edited(client, size="96x64").size == "96x64"


def test_edits_of_several_at_once_and_as_a_stream(client: openai.OpenAI) -> None:
    both = [opened(item) for item in edited(client, n=2, mask=("m.png", mask())).data]
    assert apart(*both) > 1
    assert [each.crop(RIGHT).tobytes() for each in both] == [photographed().crop(RIGHT).tobytes()] * 2
    events = list(edited(client, stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]


def test_variations(client: openai.OpenAI) -> None:
    answer = varied(client, n=2, response_format="b64_json")
    one, other = map(opened, answer.data)
    assert min(apart(one, other), apart(one, photographed())) > 1
    assert apart(one, opened(varied(client).data[0])) < 1
    assert varied(client, size="96x96").size == "96x96"


# What is refused

SIZES = ["62x64", "64x62", "258x64", "65x64", "64x4096"]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        *(({"size": size}, "size") for size in SIZES),
        ({"background": "transparent"}, "background"),
        ({"style": "vivid"}, "style"),
        ({"extra_body": {"num_inference_steps": MANY + 1}}, "num_inference_steps"),
        ({"extra_body": {"strength": 0.5}}, "strength"),
        ({"extra_body": {"negative_prompt": "x", "guidance_scale": 1.0}}, "negative_prompt"),
        ({"extra_body": {"script": {}}}, "script"),
    ],
)
def test_what_pictures_cannot_be(client: openai.OpenAI, fields: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        generate(client, **fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"image": [("a", photograph()), ("b", photograph())]}, "image"),
        ({"extra_body": {"strength": 0.1, "num_inference_steps": 4}}, "strength"),
        ({"extra_body": {"strength": 0.0}}, "strength"),
        ({"input_fidelity": "high"}, "input_fidelity"),
    ],
)
def test_what_edits_cannot_be(client: openai.OpenAI, fields: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(**{"model": "draws", "prompt": "a", "image": ("a", photograph()), **fields})
    assert caught.value.param == param


def test_other_kinds(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="draws", messages=[{"role": "user", "content": "a"}])
