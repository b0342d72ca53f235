"""Pictures with words, drawn here: papers, signs and screens, straight, turned and as if they were photographed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageFont

from tests.pictures import saved

# Cells of a row are set in columns of their own, the last one to the right.
RECEIPT = (
    ("CORNER MARKET",),
    ("12 High Street, Springfield",),
    ("Coffee beans", "8.90"),
    ("Whole milk", "1.35"),
    ("Rye bread", "2.25"),
    ("TOTAL", "12.50"),
    ("Paid by card", "Thank you!"),
)
LICENCE = (
    ("DRIVER LICENCE",),
    ("Name", "Maria Lindqvist"),
    ("Born", "14 March 1987"),
    ("Number", "D4711-0823"),
    ("Valid until", "30 June 2031"),
)
SIGN = (("CAUTION",), ("WET FLOOR",))
INVOICE = (
    ("Invoice 20417", "Date 2026-03-09"),
    ("Bill to: Northwind Traders",),
    ("Description", "Hours", "Amount"),
    ("Design review", "6", "540.00"),
    ("Installation", "11", "880.00"),
    ("Amount due", "1420.00"),
)
CARD = (
    ("Oliver Brandt",),
    ("Senior Engineer",),
    ("Harbour Works Ltd",),
    ("+49 30 5550 1234",),
    ("oliver@harbour.example",),
)
PASS = (
    ("BOARDING PASS",),
    ("Flight", "LX 1842"),
    ("From", "Zurich"),
    ("To", "Lisbon"),
    ("Seat", "17C"),
    ("Gate closes", "09:45"),
)
DIALOG = (
    ("Unsaved changes",),
    ("Do you want to save report.txt",),
    ("before closing the window?",),
    ("Cancel", "Save"),
)
PRICES = (
    ("Tea", "2.40"),
    ("Espresso", "2.80"),
    ("Lemon cake", "3.95"),
    ("Club sandwich", "7.50"),
    ("Soup of the day", "5.20"),
)
LABEL = (
    ("Nutrition per 100 g",),
    ("Energy", "1520 kJ"),
    ("Fat", "4.1 g"),
    ("Sugar", "22.7 g"),
    ("Protein", "9.8 g"),
    ("Salt", "0.03 g"),
)
LETTER = (
    ("Dear neighbours,",),
    ("the water will be turned off on Tuesday",),
    ("between nine and eleven in the morning.",),
    ("Please keep all taps closed until noon.",),
    ("Yours, the house office",),
)
Colour: TypeAlias = str | tuple[int, int, int]
PAPERS: dict[str, tuple[tuple[tuple[str, ...], ...], Colour, Colour]] = {
    "receipt": (RECEIPT, "black", "white"),
    "licence": (LICENCE, (20, 30, 90), (225, 235, 245)),
    "sign": (SIGN, "black", (245, 215, 40)),
    "invoice": (INVOICE, (40, 40, 40), "white"),
    "card": (CARD, "white", (30, 60, 50)),
    "pass": (PASS, "black", (235, 240, 235)),
    "dialog": (DIALOG, (230, 230, 230), (45, 45, 55)),
    "prices": (PRICES, (250, 245, 220), (50, 35, 30)),
    "label": (LABEL, "black", (250, 250, 240)),
    "letter": (LETTER, (25, 25, 25), (250, 247, 235)),
}
SIZE, MARGIN, GAP = 30, 40, 40


class Scene(NamedTuple):
    """A picture as a file, and all the words in it."""

    name: str
    data: bytes
    words: tuple[str, ...]


def paper(name: str, size: int = SIZE) -> Image.Image:
    """A page with its text straight on it; `size` is the letters' in pixels."""
    rows, ink, ground = PAPERS[name]
    size = size * 3 if name == "sign" else size
    letters = ImageFont.load_default(size)
    columns = max(map(len, rows))
    cells = [row for row in rows if len(row) > 1]
    widths = [max((letters.getlength(row[at]) for row in cells if at < len(row)), default=0) for at in range(columns)]
    width = max([sum(widths) + GAP * (columns - 1), *(letters.getlength(row[0]) for row in rows if len(row) == 1)])
    pitch = round(size * 1.6)
    page = Image.new("RGB", (round(width) + 2 * MARGIN, pitch * len(rows) + 2 * MARGIN), ground)
    draw = ImageDraw.Draw(page)
    for number, row in enumerate(rows):
        y = MARGIN + number * pitch
        for at, cell in enumerate(row):
            left = MARGIN + sum(widths[:at]) + GAP * at
            if at and at == len(row) - 1:
                left = page.width - MARGIN - letters.getlength(cell)
            draw.text((left, y), cell, ink, letters)
    return page


def turned(page: Image.Image, degrees: float) -> Image.Image:
    """On a grey table, turned counterclockwise."""
    return page.rotate(degrees, Image.Resampling.BICUBIC, expand=True, fillcolor=(120, 118, 112))


def photographed(page: Image.Image, seed: int) -> Image.Image:
    """From aside, not quite sharp, in uneven light and with grain."""
    draw = random.Random(seed)
    table = Image.new("RGB", (page.width + 160, page.height + 160), (120, 105, 90))
    table.paste(page, (80, 80))
    width, height = table.size
    lean = [draw.uniform(0.0, 0.07) for _ in range(8)]
    corners = [
        *(width * lean[0], height * lean[1], width * lean[2], height * (1 - lean[3])),
        *(width * (1 - lean[4]), height * (1 - lean[5]), width * (1 - lean[6]), height * lean[7]),
    ]
    seen = table.transform(table.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    seen = turned(seen, draw.uniform(-6, 6)).filter(ImageFilter.GaussianBlur(draw.uniform(0.6, 1.1)))
    light = Image.linear_gradient("L").rotate(draw.choice([0, 90, 180, 270])).resize(seen.size)
    light = light.point(lambda value: 120 + value * 0.53)
    lit = ImageChops.multiply(seen, Image.merge("RGB", [light] * 3))
    grain = Image.effect_noise(seen.size, 40).convert("RGB")
    return Image.blend(lit, grain, 0.08)


def words(name: str) -> tuple[str, ...]:
    """All words of a paper."""
    return tuple(word for row in PAPERS[name][0] for cell in row for word in cell.split())


def scenes() -> list[Scene]:
    """Thirty: each paper straight, turned and photographed."""
    random.seed(5)  # for the grain
    turns = (90, 180, 270, 5, -8, 12, 90, -15, 183, 266)
    found = [Scene(f"{name}", saved(paper(name)), words(name)) for name in PAPERS]
    for name, degrees in zip(PAPERS, turns, strict=True):
        found.append(Scene(f"{name}, turned {degrees}", saved(turned(paper(name), degrees)), words(name)))
    for seed, name in enumerate(PAPERS):
        seen = photographed(paper(name), seed)
        found.append(Scene(f"{name}, photographed", saved(seen, "JPEG", quality=80), words(name)))
    return found


def share_read(wanted: Sequence[str], text: str) -> float:
    """How many of the words are in a text, whatever its spaces and capitals: from 0 to 1."""
    said = "".join(text.split()).casefold()
    return sum(word.casefold() in said for word in wanted) / len(wanted)
