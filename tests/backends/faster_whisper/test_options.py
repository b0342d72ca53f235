"""Options: without an engine."""

from __future__ import annotations

from typing import Any

import pytest

from backends import Setup
from backends.faster_whisper import FasterWhisper, options
from backends.faster_whisper.options import Options
from backends.requests import Detection


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
    assert backend._detection == Detection(normalised=True)
    with pytest.raises(ValueError, match="no setting 'model'"):
        FasterWhisper(Setup(name="ears", model="x", options={"weights": "whisper-base"}))
