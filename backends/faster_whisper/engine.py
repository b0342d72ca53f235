"""The engine: one loaded model that several threads use at once. Blocks; it is called in threads.

Between two windows of sound (30 s) it tells its caller that it goes on, and ends when the caller is gone.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ctranslate2
import faster_whisper
import numpy
from msgspec import Struct

from backends.errors import EngineFailed
from backends.events import Segment, Word
from backends.faster_whisper.options import Options
from backends.requests import Detection

# Without the tokenizer's own file faster-whisper asks a model hub.
NEEDED = ("model.bin", "config.json", "tokenizer.json")
# Half of what the model remembers, less one token.
MOST_PROMPT = 223


class Stopped(Exception):
    """Whoever asked is gone."""


class Hearing(Struct, eq=False):
    """One transcription, as its thread and its asker see it: `windows` is how many were begun."""

    windows: int = 0
    stopped: bool = False

    def step(self) -> None:
        """A new window begins. Raises Stopped."""
        if self.stopped:
            raise Stopped
        self.windows += 1


class Wanted(Struct, frozen=True, kw_only=True):
    """What the engine is to do with 16-bit mono PCM of 16,000 samples a second, which begins at `begin` seconds.

    `prompt` is text or tokens that came before; `language` is found out if None.
    """

    pcm: bytes
    begin: float
    language: str | None
    task: str
    prompt: str | Sequence[int] | None
    temperature: float | None
    words: bool
    detection: Detection | None


class Engine:
    """A loaded model. Raises ValueError, RuntimeError or OSError when it cannot be."""

    def __init__(self, folder: Path, options: Options, workers: int) -> None:
        missing = [name for name in NEEDED if not (folder / name).is_file()]
        if missing:
            raise FileNotFoundError(f"there is no {missing[0]} in {folder}")
        on_gpu = options.device != "cpu" and ctranslate2.get_cuda_device_count() > 0
        self._beams = options.beam_size
        self._model = faster_whisper.WhisperModel(
            str(folder),
            device=options.device,
            compute_type=options.compute_type or ("float16" if on_gpu else "int8"),
            cpu_threads=options.cores,
            num_workers=workers,
            local_files_only=True,
        )
        self._mine = threading.local()
        self._encode = self._model.encode
        self._model.encode = self._step_and_encode
        self.languages = frozenset(self._model.supported_languages)
        self.translates = bool(self._model.model.is_multilingual)

    def _step_and_encode(self, features: Any) -> Any:
        self._mine.hearing.step()
        return self._encode(features)

    def tokens(self, prompt: str) -> int:
        """How many tokens of a prompt are read."""
        if not prompt.strip():
            return 0
        encoding = self._model.hf_tokenizer.encode(f" {prompt.strip()}", add_special_tokens=False)
        return min(MOST_PROMPT, len(encoding.ids))

    def segments(self, hearing: Hearing, wanted: Wanted) -> Iterator[Segment]:
        """What is said, as it comes. Each step may be in another thread. Raises Stopped or EngineFailed."""
        self._mine.hearing = hearing
        try:
            segments, about = self._transcribe(wanted)
            while (segment := next(segments, None)) is not None:
                yield _told(segment, wanted.begin, about.language)
                self._mine.hearing = hearing
        except (RuntimeError, ValueError) as error:
            raise EngineFailed from error

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
