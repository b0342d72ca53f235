"""The engine, in a process of its own: one loaded model that several threads use at once.

Between two windows of sound (30 s) it tells its asker that it goes on, and ends when that one is gone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
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


class Gone(Exception):
    """Nobody wants the answer any more."""


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
        self._encode = self._model.encode
        self._model.encode = self._step_and_encode
        self.about = About(frozenset(self._model.supported_languages), bool(self._model.model.is_multilingual))

    def _step_and_encode(self, features: Any) -> Any:
        asked: Asked = self._mine.asked
        if asked.gone:
            raise Gone
        asked.beat()
        return self._encode(features)

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
            numpy.frombuffer(wanted.pcm, dtype="<i2").astype(numpy.float32) / 32768,
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
