"""What a subject is asked for by: names and keywords, in phrasings. Those of `UNSEEN` are never trained on."""

from __future__ import annotations

import random
import re

from colours import SYNONYMS, WORDS
from everyday import ADJECTIVES, NAMES
from sources import Subject

from backends.emoji.colours import TARGETS

BEFORE = (
    *("",) * 14,
    *("a", "a", "an", "the", "one", "some", "my"),
    *("an image of a", "an image of", "image of the", "a picture of a", "picture of a", "pictures of"),
    *("draw a", "draw", "draw the", "draw me", "draw me a", "paint", "paint a", "sketch of", "sketch a"),
    *(
        "an emoji of a",
        "emoji of",
        "emoji",
        "the emoji for",
        "icon of a",
        "an icon of",
        "icon",
        "a logo of a",
        "symbol of",
    ),
    *("a drawing of", "a drawing of a", "an illustration of a", "illustration of", "a painting of a"),
    *(
        "a photo of a",
        "photo of",
        "a photograph of the",
        "a render of a",
        "3d render of",
        "clipart of",
        "clip art of a",
    ),
    *(
        "generate",
        "generate a",
        "generate an image of",
        "create",
        "create a picture of a",
        "make",
        "make a",
        "make me a",
    ),
    *(
        "produce an image of",
        "design a",
        "i want a",
        "i want",
        "i need a picture of a",
        "give me a",
        "give me",
        "show me",
    ),
    *("show a", "please make", "please create a", "could you paint a", "can you draw a", "let me see", "we need a"),
    *(
        "a cute",
        "cute little",
        "a simple",
        "a beautiful",
        "nice",
        "a cartoon of a",
        "cartoon",
        "a small",
        "a big",
        "single",
    ),
    *(
        "a flat",
        "minimalist",
        "a shiny",
        "a colorful",
        "hello can you make a",
        "there is a",
        "this is a",
        "look at the",
    ),
)
AFTER = (
    *("",) * 30,
    *("please", "now", "emoji", "icon", "symbol", "sign", "picture", "image", "drawing", "illustration", "cartoon"),
    *("on a white background", "on white", "with a transparent background", "on a plain background", "in the center"),
    *("in flat style", "in cartoon style", "emoji style", "as an emoji", "as an icon", "vector art", "digital art"),
    *("high quality", "4k", "highly detailed", "with soft colors", "bright colors", "clean lines", "simple shapes"),
    *("for my website", "for a blog post", "for a presentation", "for the kids", "thank you", "thanks", "if you can"),
    *("that looks nice", "and nothing else", "centered", "studio lighting", "trending", "1024x1024", "isolated"),
)
# What may stand between any words and the subject, before it and after it.
TOWARDS = ("of", "of", "of", "with", "for", "to", "see", "show", "about", "like", "get", "want", "have", "need", "is")
AWAY = (
    "in",
    "in",
    "on",
    "on",
    "with",
    "for",
    "at",
    "by",
    "from",
    "to",
    "like",
    "as",
    "under",
    "near",
    "and",
    "that",
    "is",
)
ARTICLES = ("", "", "a", "a", "the", "my")
UNSEEN = (
    "please draw {} for me",
    "can you show me what {} looks like?",
    "I would love to see {} on a postcard",
    "a tiny sticker of {} in pastel crayon",
    "my daughter asked for a poster with {} in the middle",
)
# Nor on this one, where the sentence goes on about the subject as those of training never do.
FURTHER = "I dreamt that {} flew over our town"


def phrased(core: str, chance: random.Random) -> str:
    return f"{chance.choice(BEFORE)} {core} {chance.choice(AFTER)}".strip()


def framed(said: str, chance: random.Random, pools: tuple[list[str], list[str]]) -> str:
    """In a sentence of any words, even of other subjects' names: what follows "of" or comes before "in" is meant, and
    other words may stand there too.
    """

    def some(most: int) -> list[str]:
        return [chance.choice(pools[chance.random() < 0.3]) for _ in range(chance.randint(1, most))]

    def link(usual: tuple[str, ...]) -> str:
        return chance.choice(usual) if chance.random() < 0.75 else chance.choice(pools[0])

    before, after = chance.random() < 0.75, chance.random() < 0.65
    words = [chance.choice(ARTICLES), *some(5), link(TOWARDS)] if before else []
    words += [chance.choice(ARTICLES), said]
    words += [link(AWAY), chance.choice(ARTICLES), *some(3)] if after else []
    return " ".join(filter(None, words))


def core(subject: Subject, chance: random.Random) -> str:
    """The name, more or less of it, or keywords."""
    kind, keywords = chance.random(), list(subject.keywords)
    if kind < 0.24 and subject.name in NAMES:
        return chance.choice(NAMES[subject.name])
    if kind < 0.6 or not keywords:
        return subject.name
    if kind < 0.74:
        said = [subject.name, *chance.sample(keywords, min(len(keywords), chance.randint(1, 2)))]
        chance.shuffle(said)
        return " ".join(said)
    if kind < 0.92:
        return mixture(subject, chance)
    words = subject.name.split()
    words.remove(chance.choice(words))
    return " ".join(words) or subject.name


def mixture(subject: Subject, chance: random.Random) -> str:
    """Two to four of the keywords, without the name."""
    keywords = list(subject.keywords) or [subject.name]
    return " ".join(chance.sample(keywords, min(len(keywords), chance.randint(2, 4))))


def described(said: str, chance: random.Random) -> str:
    """Now and then with an adjective or two, which change nothing."""
    return " ".join([*chance.sample(ADJECTIVES, chance.choice((0, 0, 0, 0, 1, 1, 2))), said])


def colourless(name: str) -> str:
    """Without words for colours."""
    return " ".join(word for word in name.split() if word not in WORDS) or "thing"


def coloured(subject: Subject, colour: str, chance: random.Random) -> str:
    """The subject in a colour that is not its own."""
    word = chance.choice((colour, colour, *SYNONYMS.get(colour, ())))
    plain = colourless(chance.choice((subject.name, *NAMES.get(subject.name, ()))))
    if chance.random() < 0.2 and subject.keywords:
        plain = colourless(chance.choice(subject.keywords))
    forms = (f"{word} {plain}",) * 5 + (f"{plain} in {word}", f"{plain} {word}", f"{plain} that is {word}")
    return chance.choice(forms)


def worn(text: str, chance: random.Random, alike: dict[str, list[str]], noise: list[str]) -> str:
    """With a word for another of the same meaning, another number, or a word too many now and then."""
    words = re.findall(r"[a-z0-9]+", text.lower())
    for place, word in enumerate(words):
        if word in alike and word not in TARGETS and chance.random() < 0.05:
            words[place] = chance.choice(alike[word])
        elif len(word) > 3 and chance.random() < 0.05:
            words[place] = word.removesuffix("s") if word.endswith("s") else f"{word}s"
    for _ in range(chance.choice((0, 0, 0, 0, 1, 1, 2, 4)) if noise else 0):
        words.insert(chance.choice((0, len(words), len(words), chance.randint(0, len(words)))), chance.choice(noise))
    return " ".join(words)
