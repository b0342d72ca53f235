"""The engine, in a process of its own: one loaded model that several threads use at once.

Between the steps of its work it tells its asker that it goes on, and ends when that one is gone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ctranslate2
import faster_whisper
import numpy

from backends.errors import LoadFailed
from backends.events import Segment, Word
from backends.faster_whisper.options import MOST_PROMPT
from backends.faster_whisper.questions import About, Count, Counted, Wanted
from backends.requests import Detection
from backends.workshop import Asked

# Without the tokenizer's own file faster-whisper asks a model hub.
NEEDED = ("model.bin", "config.json", "tokenizer.json")


# Sound is made so loud that all but half a percent of it stays below a third of what there is room for: a click must
# not keep speech quiet. Sixty decibels at most, as there is nothing below.
LOUD_PART, LOUD, MOST_GAIN = 99.5, 0.3, 1000.0


class Gone(Exception):
    """Nobody wants the answer any more."""


class Stepping:
    """The network, which calls `step` before it hears a window and before each try to write it down: of noise there
    are six, of many seconds each.
    """

    def __init__(self, network: Any, step: Callable[[], None]) -> None:
        self._network = network
        self._step = step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def encode(self, *arguments: Any, **named: Any) -> Any:
        self._step()
        return self._network.encode(*arguments, **named)

    def generate(self, *arguments: Any, **named: Any) -> Any:
        self._step()
        return self._network.generate(*arguments, **named)


class Engine:
    """A loaded model. Raises LoadFailed or FileNotFoundError when it cannot be."""

    question = Wanted | Count

    def __init__(
        self, folder: str, *, device: str, compute_type: str | None, threads: int, workers: int, beam_size: int
    ) -> None:
        missing = [name for name in NEEDED if not Path(folder, name).is_file()]
        if missing:
            raise LoadFailed(f"there is no {missing[0]} in {folder}")
        on_gpu = device != "cpu" and ctranslate2.get_cuda_device_count() > 0
        self._beams = beam_size
        self._model = faster_whisper.WhisperModel(
            folder,
            device=device,
            compute_type=compute_type or ("float16" if on_gpu else "int8"),
            cpu_threads=threads,
            num_workers=workers,
            local_files_only=True,
        )
        self._mine = threading.local()
        self.about = About(frozenset(self._model.supported_languages), bool(self._model.model.is_multilingual))
        self._model.model = Stepping(self._model.model, self._step)

    def _step(self) -> None:
        asked: Asked = self._mine.asked
        if asked.gone:
            raise Gone
        asked.beat()

    def answers(self, question: Wanted | Count, asked: Asked) -> Iterator[Segment | Counted]:
        """What is said, as it comes; each step may be in another thread."""
        if isinstance(question, Count):
            yield Counted(self._tokens(question.prompt))
            return
        self._mine.asked = asked
        segments, about = self._transcribe(question)
        while (segment := next(segments, None)) is not None:
            yield _told(segment, question.begin, about.language)
            self._mine.asked = asked

    def _tokens(self, prompt: str) -> int:
        if not prompt.strip():
            return 0
        encoding = self._model.hf_tokenizer.encode(f" {prompt.strip()}", add_special_tokens=False)
        return min(MOST_PROMPT, len(encoding.ids))

    def _transcribe(self, wanted: Wanted) -> tuple[Iterator[Any], Any]:
        # Zero means what it means to OpenAI: begin with certainty, and guess more where that leads nowhere.
        chosen = {"temperature": wanted.temperature} if wanted.temperature else {}
        segments, about = self._model.transcribe(
            _samples(wanted),
            language=wanted.language,
            task=wanted.task,
            beam_size=self._beams,
            initial_prompt=wanted.prompt,
            word_timestamps=wanted.words,
            vad_filter=wanted.detection is not None,
            vad_parameters=_vad(wanted.detection),
            **chosen,
        )
        return iter(segments), about


def _samples(wanted: Wanted) -> Any:
    """Floats from -1 to 1, louder if that was asked for: a detector takes quiet speech for none."""
    samples = numpy.frombuffer(wanted.pcm, dtype="<i2").astype(numpy.float32) / 32768
    if wanted.detection is None or not wanted.detection.normalised:
        return samples
    level = float(numpy.percentile(numpy.abs(samples), LOUD_PART))
    if not 0 < level < LOUD:
        return samples
    return numpy.clip(samples * min(LOUD / level, MOST_GAIN), -1, 1)


def _told(segment: Any, begin: float, language: str) -> Segment:
    return Segment(
        start=round(begin + float(segment.start), 2),
        end=round(begin + float(segment.end), 2),
        text=segment.text,
        tokens=tuple(segment.tokens),
        logprob=float(segment.avg_logprob),
        language=language,
        words=tuple(
            Word(word.word, round(begin + float(word.start), 2), round(begin + float(word.end), 2))
            for word in segment.words or ()
        ),
        temperature=segment.temperature,
        silence=float(segment.no_speech_prob),
    )


def _vad(detection: Detection | None) -> dict[str, float] | None:
    """The same in faster-whisper's words."""
    if detection is None:
        return None
    return {
        "threshold": detection.threshold,
        "min_silence_duration_ms": round(detection.silence * 1000),
        "speech_pad_ms": round(detection.padding * 1000),
    }
