"""What is drawn is what was asked for."""

from __future__ import annotations

import numpy as np
import openai
import pytest
from PIL import Image

from backends.emoji.words import Words, split
from tests.backends.emoji.drawings import colour, drawn, nearest, pixels

RED, GREEN, BLUE = range(3)
# An elephant is grey: it has no hue that could be turned.
COLOURED = ("purple car", "pink elephant", "yellow umbrella")


@pytest.mark.parametrize(
    ("prompt", "subject"),
    [
        ("a red apple", "red apple"),
        ("Draw me a banana, please.", "banana"),
        ("pizza", "pizza"),
        ("a sunflower", "sunflower"),
        ("a Christmas tree on a white background", "Christmas tree"),
        ("please draw a snowman for me", "snowman"),
        ("a rocket", "rocket"),
        ("an illustration of a robot", "robot"),
        ("a guitar", "guitar"),
        ("a smiling face with sunglasses", "smiling face with sunglasses"),
        ("red heart", "red heart"),
        ("a birthday cake", "birthday cake"),
        ("a sailbaot", "sailboat"),
        ("🍌, please", "banana"),
        ("a tiny sticker of a rocket in pastel crayon", "rocket"),
        ("My daughter asked for a poster with a castle in the middle.", "castle"),
        ("a cup of coffee", "hot beverage"),
    ],
)
def test_shapes(artist: openai.OpenAI, prompt: str, subject: str) -> None:
    assert nearest(drawn(artist, prompt)) == subject


def test_colours(artist: openai.OpenAI) -> None:
    red, green = colour(drawn(artist, "a red apple")), colour(drawn(artist, "a green apple"))
    assert red[RED] - red[GREEN] > 60
    assert green[GREEN] - green[RED] > 20
    blue, pink = colour(drawn(artist, "a blue heart")), colour(drawn(artist, "a pink heart"))
    assert blue[BLUE] - blue[RED] > 60
    assert pink[RED] - pink[GREEN] > 60
    assert colour(drawn(artist, "a black heart")).max() < 110
    car, elephant, umbrella = (colour(drawn(artist, f"a {each}")) for each in COLOURED)
    assert car[BLUE] - car[GREEN] > 60
    assert elephant[RED] - elephant[GREEN] > 60
    assert umbrella[GREEN] - umbrella[BLUE] > 60


def test_the_seed_chooses_where_words_may_mean_several(artist: openai.OpenAI) -> None:
    mixed = [drawn(artist, "fruit", extra_body={"seed": seed}) for seed in range(4)]
    sure = [drawn(artist, "a banana", extra_body={"seed": seed}) for seed in range(4)]
    assert _apart(mixed) > 2 * _apart(sure)


def _apart(pictures: list[Image.Image]) -> float:
    return float(np.mean(np.std([pixels(picture) for picture in pictures], axis=0)))


def test_a_prompt_without_a_known_word_draws_something(artist: openai.OpenAI) -> None:
    assert drawn(artist, "您好 ß").getextrema() != ((255, 255),) * 3
    assert drawn(artist, "x" * 30_000).size == (64, 64)


def test_words() -> None:
    words = Words(["apple", "cherry", "run", "red"])
    assert words.numbers("The RED apples: runs!") == [4, 1, 3]
    assert words.numbers("cherries chery aple") == [2, 2, 1]
    assert words.numbers("zebra") == []
    assert words.numbers("red " * 100) == [4] * 24
    assert split("Café №1, don’t 🍎") == ["cafe", "no", "1", "don", "t", "red", "apple"]
