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
from faster_whisper import vad

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


class Hearing:
    """One passage while it is heard: who asked, its `samples`, and how often the window was written down yet."""

    def __init__(self, asked: Asked, samples: Any) -> None:
        self.asked = asked
        self.tries = 0
        self._samples = samples
        self._speech: bool | None = None

    def step(self) -> None:
        if self.asked.gone:
            raise Gone
        self.asked.beat()

    @property
    def speech(self) -> bool:
        """Whether the detector hears anybody in it."""
        if self._speech is None:
            self._speech = bool(vad.get_speech_timestamps(_louder(self._samples), vad.VadOptions()))
        return self._speech


class Nothing:
    """What faster-whisper takes for silence: a token, whichever, that is most unlikely to have been said."""

    sequences_ids = ([0],)
    scores = (-100.0,)
    no_speech_prob = 1.0


class Stepping:
    """The network, which takes a step before it hears a window and before each try to write it down.

    What is written down badly is guessed again, up to five times, until it looks like words. Of noise all of that fails
    for many seconds, and ends with words that nobody said: there are no guesses where the detector hears nobody.
    """

    def __init__(self, network: Any, hearing: Callable[[], Hearing]) -> None:
        self._network = network
        self._hearing = hearing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._network, name)

    def encode(self, *arguments: Any, **named: Any) -> Any:
        hearing = self._hearing()
        hearing.step()
        hearing.tries = 0
        return self._network.encode(*arguments, **named)

    def generate(self, *arguments: Any, **named: Any) -> Any:
        hearing = self._hearing()
        hearing.step()
        hearing.tries += 1
        if hearing.tries > 1 and not hearing.speech:
            return [Nothing()]
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
        self._model.model = Stepping(self._model.model, lambda: self._mine.hearing)

    def answers(self, question: Wanted | Count, asked: Asked) -> Iterator[Segment | Counted]:
        """What is said, as it comes; each step may be in another thread."""
        if isinstance(question, Count):
            yield Counted(self._tokens(question.prompt))
            return
        samples = _samples(question)
        self._mine.hearing = hearing = Hearing(asked, samples)
        segments, about = self._transcribe(question, samples)
        while (segment := next(segments, None)) is not None:
            yield _told(segment, question.begin, about.language)
            self._mine.hearing = hearing

    def _tokens(self, prompt: str) -> int:
        if not prompt.strip():
            return 0
        encoding = self._model.hf_tokenizer.encode(f" {_plain(prompt).strip()}", add_special_tokens=False)
        return min(MOST_PROMPT, len(encoding.ids))

    def _transcribe(self, wanted: Wanted, samples: Any) -> tuple[Iterator[Any], Any]:
        # Zero means what it means to OpenAI: begin with certainty, and guess more where that leads nowhere.
        chosen = {"temperature": wanted.temperature} if wanted.temperature else {}
        segments, about = self._model.transcribe(
            samples,
            language=wanted.language,
            task=wanted.task,
            beam_size=self._beams,
            best_of=self._beams,
            initial_prompt=_plain(wanted.prompt) if isinstance(wanted.prompt, str) else wanted.prompt,
            word_timestamps=wanted.words,
            vad_filter=wanted.detection is not None,
            vad_parameters=_vad(wanted.detection),
            **chosen,
        )
        return iter(segments), about


def _plain(prompt: str) -> str:
    """The same without control tokens, such as the one that ends a text."""
    return prompt.replace("<|", "< |")


def _samples(wanted: Wanted) -> Any:
    """Floats from -1 to 1, louder if that was asked for: a detector takes quiet speech for none."""
    samples = numpy.frombuffer(wanted.pcm, dtype="<i2").astype(numpy.float32) / 32768
    return _louder(samples) if wanted.detection is not None and wanted.detection.normalised else samples


def _louder(samples: Any) -> Any:
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
