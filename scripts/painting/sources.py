"""What the model learns from: Noto Color Emoji, drawn at 128x128, and the words that emojilib has for each."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

Pictures = np.ndarray[Any, np.dtype[np.uint8]]

SIDE = 128
FONT = "fonts-noto-color-emoji"
KEYWORDS = "emojilib@4.0.3"
# The only size that the font has.
STRIKE = 109
SHA256 = {
    "NotoColorEmoji.ttf": "e5899ed38b8ed83e08bd3ac5de09791e9d19d288333a796de1d35ad17396f1ec",
    "emoji-en-US.json": "7974e9162e1505aa1b02d07a04e4eefa5c51864d6c32e477121c635201e2eca2",
}
NOTHING = "\U0010fffd"


class Subject(NamedTuple):
    """An emoji: its name, and other words for it."""

    sign: str
    name: str
    keywords: tuple[str, ...]


class Lesson(NamedTuple):
    """All subjects, and their pictures: RGBA, premultiplied, [subjects, 128, 128, 4]."""

    subjects: list[Subject]
    pictures: Pictures


def fetch(folder: Path) -> None:
    """Download the font's Debian package and the keywords' npm package, and unpack the two files."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "NotoColorEmoji.ttf").exists():
        subprocess.run(["apt-get", "download", FONT], cwd=folder, check=True)
        package = next(folder.glob(f"{FONT}_*.deb"))
        subprocess.run(["dpkg-deb", "-x", package, folder / "font"], check=True)
        next((folder / "font").rglob("NotoColorEmoji.ttf")).rename(folder / "NotoColorEmoji.ttf")
    if not (folder / "emoji-en-US.json").exists():
        subprocess.run(["npm", "pack", KEYWORDS], cwd=folder, check=True)
        with tarfile.open(next(folder.glob("emojilib-*.tgz"))) as package_file:
            package_file.extractall(folder, filter="data")
        (folder / "package" / "dist" / "emoji-en-US.json").rename(folder / "emoji-en-US.json")


def lesson(folder: Path) -> Lesson:
    """The subjects that are one code point and that the font has; drawn once, then kept in the folder."""
    for name, sha256 in SHA256.items():
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != sha256:
            print(f"{name} is another version than the one that the shipped model has seen.", flush=True)
    signs = json.loads((folder / "emoji-en-US.json").read_text(encoding="utf-8"))
    subjects = [_subject(sign, words) for sign, words in signs.items() if len(sign.replace("\ufe0f", "")) == 1]
    kept = folder / "pictures.npz"
    if not kept.exists():
        font = ImageFont.truetype(folder / "NotoColorEmoji.ttf", STRIKE)
        drawn = np.stack([_drawn(font, subject.sign.replace("\ufe0f", "")) for subject in subjects])
        np.savez_compressed(kept, pictures=drawn)
    pictures = np.load(kept)["pictures"]
    seen = [place for place, picture in enumerate(pictures) if picture[..., 3].any()]
    return Lesson([subjects[place] for place in seen], pictures[seen])


def _subject(sign: str, words: list[str]) -> Subject:
    plain = [cleaned(word) for word in words]
    name, *keywords = [word for word in plain if re.search(r"[a-z0-9]", word)] or ["sign"]
    return Subject(sign, name, tuple(dict.fromkeys(word for word in keywords if word != name)))


def cleaned(words: str) -> str:
    return " ".join(re.findall(r"[a-z0-9]+", words.lower().replace("’", "").replace("'", "")))


def _drawn(font: ImageFont.FreeTypeFont, sign: str) -> Pictures:
    left, top, right, bottom = font.getbbox(sign)
    width, height = int(right - left), int(bottom - top)
    side = 136
    canvas = Image.new("RGBA", (side, side))
    if 0 < width <= side and sign != NOTHING:
        place = ((side - width) // 2 - left, (side - height) // 2 - top)
        ImageDraw.Draw(canvas).text(place, sign, font=font, embedded_color=True)
    straight = np.asarray(canvas, np.float32) / 255
    straight[..., :3] *= straight[..., 3:]
    return smaller(straight)


def smaller(premultiplied: np.ndarray[Any, np.dtype[np.float32]], side: int = SIDE) -> Pictures:
    """Scaled channel by channel, so that transparent pixels lend no colour. From 0..1 to bytes."""
    channels = [Image.fromarray(premultiplied[..., channel]) for channel in range(4)]
    scaled = [np.asarray(each.resize((side, side), Image.Resampling.LANCZOS)) for each in channels]
    return (np.stack(scaled, -1).clip(0, 1) * 255 + 0.5).astype(np.uint8)
