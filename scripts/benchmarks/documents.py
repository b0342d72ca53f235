"""Thirty questions over five documents: how often the right passage is among the first, and how fast."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvloop
from msgspec import Struct, to_builtins

sys.path.insert(0, str(Path(__file__).parents[2]))

from openai_proxy.app import create_app
from openai_proxy.config import Config, JobSettings, ModelConfig
from openai_proxy.documents import MY
from openai_proxy.documents.documents import Documents
from openai_proxy.keys import Keys
from openai_proxy.settings.documents import DocumentSettings
from tests.documents.library import NAMES, QUESTIONS, answers, data

MODEL, OWNER = "all-minilm-l6-v2", "bench"
ENOUGH, FIRST = 27, 3


class Found(Struct):
    """How often the right passage came first, and among the first three, milliseconds of a search (median), and its
    place for each question, 0 for none.
    """

    way: str
    first: int
    among: int
    milliseconds: float
    places: list[int]


@asynccontextmanager
async def serving(folder: str) -> AsyncIterator[Documents]:
    """The embedded model for vectors, and documents in a folder."""
    model = ModelConfig(backend="llama_cpp", options={"weights": MODEL, "embedding": True})
    jobs, documents = JobSettings(database="memory", home=folder), DocumentSettings(home=folder)
    edge = create_app(Config(models={MODEL: model}, jobs=jobs, documents=documents), Keys()).edge
    edge.router.start()
    await edge.router.find(MODEL).presence.settled.wait()
    try:
        yield edge.documents
    finally:
        await edge.documents.close()
        await edge.router.close()


async def asked(kept: Documents, way: str, by_words: bool) -> Found:
    """All questions, one after the other."""
    places, times = [], []
    for question in QUESTIONS:
        begun = time.perf_counter()
        found = await kept.search(OWNER, [MY], question.text, FIRST, by_words=by_words)
        times.append((time.perf_counter() - begun) * 1000)
        right = [each.source == question.document and answers(each.text, question) for each in found]
        places.append(right.index(True) + 1 if any(right) else 0)
    return Found(way, sum(place == 1 for place in places), sum(map(bool, places)), statistics.median(times), places)


async def measure() -> tuple[float, list[Found]]:
    """Passages that are read a second, and what was found by vectors alone, and by words too."""
    with tempfile.TemporaryDirectory() as folder:
        async with serving(folder) as kept:
            begun = time.perf_counter()
            made = [await kept.add(OWNER, MY, name, data(name)) for name in NAMES]
            rate = sum(document.passages for document in made) / (time.perf_counter() - begun)
            ways = (("vectors alone", False), ("vectors and words", True))
            return rate, [await asked(kept, way, by_words) for way, by_words in ways]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when too few questions find their passage."""
    rate, found = uvloop.run(measure())
    best = found[-1]
    if arguments.json:
        print(json.dumps({"passages_a_second": rate, "found": to_builtins(found)}, indent=1), flush=True)
    else:
        for question, place in zip(QUESTIONS, best.places, strict=True):
            print(f"{place or '-'}  {question.text}")
        print(f"{'the right passage, of ' + str(len(QUESTIONS)):34}{'first':>8}{'in 3':>8}{'ms':>8}")
        for each in found:
            print(f"{each.way:34}{each.first:8}{each.among:8}{each.milliseconds:8.1f}")
        print(f"{len(NAMES)} documents, {rate:.0f} passages a second; at least {ENOUGH} must be in {FIRST}")
    return int(best.among < ENOUGH)
