"""Pipelines of other families: what is particular to them."""

from __future__ import annotations

from typing import Any

import openai
import pytest

from tests.backends.diffusers.asking import SIDE, apart, drawn, generate, mask, opened, photograph, photographed

pytestmark = [pytest.mark.diffusers, pytest.mark.filterwarnings("ignore::DeprecationWarning"), pytest.mark.slow]


def test_words_weighed_by_two_numbers(client: openai.OpenAI) -> None:
    """FLUX: `guidance_scale` is what it was taught, and unwanted words need the setting `true_cfg_scale`."""
    plain = drawn(client, model="patches")
    assert plain.tobytes() == drawn(client, model="patches").tobytes()
    for more in ({"guidance_scale": 9.0}, {"negative_prompt": "trees"}):
        assert drawn(client, model="patches", extra_body=more).tobytes() != plain.tobytes()
    *partial, last = list(generate(client, model="patches", stream=True, partial_images=2))
    assert [opened(event).size for event in partial] == [(64, 64)] * 2
    assert opened(last).tobytes() == plain.tobytes()


def test_sizes_that_the_settings_list(client: openai.OpenAI) -> None:
    assert drawn(client, model="words", size="96x64").size == (96, 64)
    with pytest.raises(openai.BadRequestError, match="64x64, 96x64 or auto") as caught:
        drawn(client, model="words", size="64x96")
    assert caught.value.param == "size"


def test_flux_changes_pictures_too(client: openai.OpenAI) -> None:
    right = (SIDE // 2, 0, SIDE, SIDE)
    image = ("a.png", photograph())
    made = client.images.edit(model="patches", prompt="a door", image=image, mask=("m.png", mask())).data
    assert made is not None
    assert opened(made[0]).crop(right).tobytes() == photographed().crop(right).tobytes()
    assert apart(opened(made[0]), photographed()) > 1
    assert len(client.images.create_variation(model="patches", image=image, n=2).data or ()) == 2


def test_of_a_pipeline_that_draws_from_words_alone(client: openai.OpenAI) -> None:
    generate(client, model="words")  # before it was loaded once nobody knows what it can
    image = ("a.png", photograph())
    asked: list[tuple[Any, str]] = [
        (lambda: client.images.edit(model="words", prompt="a", image=image), "model"),
        (lambda: client.images.edit(model="words", prompt="a", image=image, mask=("m", mask())), "model"),
        (lambda: client.images.create_variation(model="words", image=image), "model"),
    ]
    for ask, param in asked:
        with pytest.raises(openai.BadRequestError) as caught:
            ask()
        assert caught.value.param == param
    told = client.models.retrieve("words").to_dict()
    assert told["kinds"] == ["image"]
    assert told["description"] == "PixArtAlphaPipeline: draws from words (cpu, float32)"
    assert (told["sizes"], told.get("sides")) == (["64x64", "96x64"], None)
