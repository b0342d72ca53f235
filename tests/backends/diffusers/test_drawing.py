"""Pictures from words, over a real server: what each parameter does, and what is drawn together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from tests.backends.diffusers.asking import apart, busy, drawn, generate, opened
from tests.backends.remote.asking import metrics
from tests.running import Running

pytestmark = pytest.mark.diffusers

BATCHES = 'engine_picture_batches_total{model="draws"}'
STEPS = 'engine_picture_steps_total{model="draws"}'
PICTURES = 'engine_pictures_total{model="draws"}'
# Pixels, of 255: what sums of floating-point numbers in another order may make of the same.
SAME = 1.0


def test_a_picture(client: openai.OpenAI) -> None:
    answer = client.images.generate(model="draws", prompt="a red house")
    assert answer.data is not None
    assert opened(answer.data[0]).size == (64, 64)
    assert (answer.size, answer.quality, answer.background, answer.output_format) == (
        "64x64",
        "medium",
        "opaque",
        "png",
    )
    assert answer.usage is not None
    assert answer.usage.to_dict() == {
        "input_tokens": 11,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 11},
        "output_tokens": 16,
        "total_tokens": 27,
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt": "a blue sky"},
        {"extra_body": {"seed": 6}},
        {"extra_body": {"seed": 9_223_372_036_854_775_807}},
        {"extra_body": {"guidance_scale": 20.0}},
        {"extra_body": {"num_inference_steps": 2}},
        {"extra_body": {"negative_prompt": "trees and many people"}},
        {"quality": "low"},
    ],
)
def test_what_changes_a_picture_and_what_does_not(client: openai.OpenAI, fields: Any) -> None:
    changed = drawn(client, **fields)
    assert changed.tobytes() == drawn(client, **fields).tobytes()
    assert changed.tobytes() != drawn(client).tobytes()


def test_without_a_seed_no_two_are_alike(client: openai.OpenAI) -> None:
    asked: Any = {"model": "draws", "prompt": "a", "size": "64x64"}
    pictures = [opened(client.images.generate(**asked).data[0]) for _ in range(2)]
    assert apart(*pictures) > SAME


@pytest.mark.parametrize(("quality", "steps"), [("low", 3), ("medium", 4), ("high", 8), ("xhigh", 12), ("max", 16)])
def test_quality_is_steps(client: openai.OpenAI, artists: Running, quality: Any, steps: int) -> None:
    before = metrics(artists)[STEPS]
    generate(client, quality=quality)
    assert metrics(artists)[STEPS] == before + steps


@pytest.mark.parametrize(("size", "sides"), [("96x64", (96, 64)), ("256x64", (256, 64)), ("auto", (64, 64))])
def test_sizes(client: openai.OpenAI, size: str, sides: tuple[int, int]) -> None:
    answer = generate(client, size=size)
    assert opened(answer.data[0]).size == sides
    assert answer.size == "{}x{}".format(*sides)


def test_several_are_drawn_together_and_are_the_same_as_alone(client: openai.OpenAI, artists: Running) -> None:
    before = metrics(artists)
    pictures = [opened(item) for item in generate(client, n=3).data]
    after = metrics(artists)
    assert (after[BATCHES], after[PICTURES]) == (before[BATCHES] + 1, before[PICTURES] + 3)
    assert min(apart(pictures[0], pictures[1]), apart(pictures[1], pictures[2])) > 10 * SAME
    for place, picture in enumerate(pictures):
        assert apart(picture, drawn(client, extra_body={"seed": 5 + place})) < SAME


def test_more_than_fit_in_one_call(client: openai.OpenAI, artists: Running) -> None:
    before = metrics(artists)[BATCHES]
    assert len({opened(item).tobytes() for item in generate(client, n=6).data}) == 6
    assert metrics(artists)[BATCHES] == before + 2


def test_requests_that_are_alike_are_drawn_in_one_call(client: openai.OpenAI, artists: Running) -> None:
    before = metrics(artists)[BATCHES]
    prompts = ["a red house", "a blue sky", "a green tree"]
    with busy(client, artists), ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda prompt: drawn(client, prompt=prompt), prompts))
    assert metrics(artists)[BATCHES] == before + 2
    for prompt, picture in zip(prompts, together, strict=True):
        assert apart(picture, drawn(client, prompt=prompt)) < SAME


def test_requests_that_differ_are_not(client: openai.OpenAI, artists: Running) -> None:
    before = metrics(artists)[BATCHES]
    with busy(client, artists), ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda size: drawn(client, size=size), ["64x64", "64x96"]))
    assert metrics(artists)[BATCHES] == before + 3


@pytest.mark.parametrize("partial", [0, 1, 3])
def test_a_stream_shows_how_a_picture_comes_to_be(client: openai.OpenAI, partial: int) -> None:
    *before, last = list(generate(client, stream=True, partial_images=partial))
    assert [event.type for event in before] == ["image_generation.partial_image"] * partial
    assert [event.partial_image_index for event in before] == list(range(partial))
    assert last.type == "image_generation.completed"
    assert opened(last).tobytes() == drawn(client).tobytes()
    distances = [apart(opened(event), opened(last)) for event in before]
    assert distances == sorted(distances, reverse=True)
    assert all(distance > 0 for distance in distances)


def test_a_stream_of_several(client: openai.OpenAI) -> None:
    events = list(generate(client, n=2, stream=True, partial_images=1))
    kinds = [event.type.partition(".")[2] for event in events]
    assert kinds == ["partial_image", "partial_image", "completed", "completed"]
    assert events[-1].usage.output_tokens == 32
