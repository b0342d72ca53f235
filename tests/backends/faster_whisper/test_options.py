"""Options, and how long sound is cut: without an engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from backends import Setup
from backends.faster_whisper import FasterWhisper, options
from backends.faster_whisper.options import Options
from backends.faster_whisper.pieces import Piece, cut
from backends.requests import Detection

SECOND = 16_000
LOUD = b"\x00\x20\x00\xe0"


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ({}, "needs one of the options 'path' and 'weights'"),
        ({"path": "a", "weights": "whisper-base"}, "needs one of the options"),
        ({"weights": "whisper-bass"}, "no weights 'whisper-bass'; known are whisper-base"),
        ({"weights": "all-minilm-l6-v2"}, "known are whisper-base"),
        ({"weights": "whisper-base", "beams": 2}, "did you mean 'beam_size'"),
        ({"weights": "whisper-base", "beam_size": 0}, "beam_size"),
        ({"weights": "whisper-base", "beam_size": 21}, "beam_size"),
        ({"weights": "whisper-base", "threads": 0}, "threads"),
        ({"weights": "whisper-base", "device": "tpu"}, "device"),
        ({"weights": "whisper-base", "vad": "yes"}, "vad"),
    ],
)
def test_wrong_options_are_named(table: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match="model ears: ") as caught:
        FasterWhisper(Setup(name="ears", options=table))
    assert problem in str(caught.value)


@pytest.mark.parametrize(("cores", "threads", "workers"), [(1, 1, 1), (2, 1, 2), (4, 3, 1), (16, 4, 4), (64, 4, 4)])
def test_threads_and_workers_fit_the_machine(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int, workers: int
) -> None:
    monkeypatch.setattr(options, "available", lambda: cores)
    chosen = Options.read("ears", {"weights": "whisper-base"})
    assert (chosen.cores, chosen.workers(4)) == (threads, workers)
    assert Options.read("ears", {"weights": "whisper-base", "threads": 7}).cores == 7


def test_a_model_tells_what_it_is_before_it_was_loaded() -> None:
    backend = FasterWhisper(Setup(name="ears", options={"weights": "whisper-base", "vad": True}, slots=3))
    assert backend.slots == 3
    assert backend.state.name == "stopped"
    assert "99 languages" in backend.model.description
    assert backend._detection == Detection()
    with pytest.raises(ValueError, match="no setting 'model'"):
        FasterWhisper(Setup(name="ears", model="x", options={"weights": "whisper-base"}))


def pieces_of(pcm: bytes, longest: float, step: int = 5 * SECOND) -> list[Piece]:
    async def given() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(pcm), step * 2):
            yield pcm[start : start + step * 2]

    async def all_of_them() -> list[Piece]:
        return [piece async for piece in cut(given(), longest)]

    return asyncio.run(all_of_them())


def loud(seconds: float) -> bytes:
    return LOUD * int(seconds * SECOND / 2)


def silent(seconds: float) -> bytes:
    return bytes(2 * int(seconds * SECOND))


def test_a_piece_ends_where_it_is_quietest() -> None:
    sound = loud(25) + silent(1) + loud(19) + silent(0.5) + loud(20)
    found = pieces_of(sound, 30.0)
    assert b"".join(piece.pcm for piece in found) == sound
    assert [piece.begin for piece in found] == [0.0, *(piece.end for piece in found[:-1])]
    assert 25 < found[0].end < 26
    assert 45 < found[1].end < 45.5


def test_without_a_pause_a_piece_is_as_long_as_may_be() -> None:
    found = pieces_of(loud(100), 30.0)
    assert [round(piece.end - piece.begin) for piece in found] == [30, 30, 30, 10]
    assert all(len(piece.pcm) <= 30 * SECOND * 2 for piece in found)


def test_what_is_silent_around_it_is_left_out() -> None:
    found = pieces_of(silent(45) + loud(4) + silent(1) + loud(4) + silent(46), 20.0)
    assert [(round(piece.start), round(len(piece.pcm) / 32_000)) for piece in found if piece.pcm] == [(44, 11)]
    assert found[-1].end == 100
    assert pieces_of(silent(1) + loud(3) + silent(1), 20.0)[0].pcm == silent(1) + loud(3) + silent(1)


def test_what_is_silent() -> None:
    """Noise of one step, as a converter makes it; a whisper is not."""
    assert not pieces_of(b"\x01\x00\xff\xff" * SECOND, 20.0)[0].pcm
    assert pieces_of(b"\x40\x00\xc0\xff" * SECOND, 20.0)[0].pcm
    assert not pieces_of(silent(0.01), 20.0)[0].pcm
