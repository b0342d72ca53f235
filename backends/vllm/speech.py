"""How a Whisper-type model listens: its windows, its special tokens, and the times that it says.

Source: Radford et al., "Robust Speech Recognition via Large-Scale Weak Supervision", section 2.3 and figure 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from backends.errors import Refused, Unsupported
from backends.events import Segment
from backends.requests import TranscriptionRequest
from backends.vllm.compat import Library

STEP = 0.02
NEEDED = ("startoftranscript", "startofprev", "transcribe", "notimestamps", "0.00", "en")
MARKS = ("startoftranscript", "startofprev", "transcribe", "translate", "notimestamps", "0.00")
# No tokenizer in use makes tokens this long on average.
CHARACTERS_A_TOKEN = 8


class Speech(Struct, frozen=True, kw_only=True):
    """`window` and `overlap` are in samples: the longest piece it hears at once, and where its end may be moved to.

    `quiet` is how many samples a quiet place has. `marks` are tokens of the vocabulary by their text, `languages` those
    of languages by ISO 639-1 code. `unspaced` languages have no spaces between words; `special` tokens have no text.
    """

    rate: int
    window: int
    overlap: int
    quiet: int
    marks: Mapping[str, int]
    languages: Mapping[str, int]
    unspaced: frozenset[str]
    special: frozenset[int]
    encode: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]
    context: int

    @classmethod
    def of(cls, library: Library, config: Any, tokenizer: Any) -> Speech | None:
        """None for a model that transcribes in another way than Whisper's family."""
        model = library.get_model_cls(config)
        words: Mapping[str, int] = tokenizer.get_vocab()
        if not config.is_encoder_decoder or not words.keys() >= {f"<|{mark}|>" for mark in NEEDED}:
            return None
        heard = model.get_speech_to_text_config(config, "transcribe")
        rate = int(heard.sample_rate)
        languages = {code: words[f"<|{code}|>"] for code in model.supported_languages if f"<|{code}|>" in words}
        return cls(
            rate=rate,
            window=int(heard.max_audio_clip_s * rate),
            overlap=int(heard.overlap_chunk_second * rate),
            quiet=heard.min_energy_split_window_size,
            marks={mark: words[f"<|{mark}|>"] for mark in MARKS if f"<|{mark}|>" in words},
            languages=languages,
            unspaced=frozenset(model.no_space_languages),
            special=frozenset(tokenizer.all_special_ids),
            encode=lambda text: list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)),
            decode=lambda tokens: str(tokenizer.decode(list(tokens), skip_special_tokens=True)),
            context=config.max_model_len,
        )

    def check(self, request: TranscriptionRequest) -> None:
        """Raises Refused for a language that the model does not know, Unsupported when it does not translate."""
        if request.task not in self.marks:
            raise Unsupported("This model does not translate.", param="model")
        if request.language is not None and request.language not in self.languages:
            known = ", ".join(sorted(self.languages))
            raise Refused(f"language must be one of {known}.", param="language")

    def opening(self, request: TranscriptionRequest, language: str) -> list[int]:
        """What the decoder is given to continue: the end of the prompt, language, task and whether times come."""
        return [
            *self._before(request.prompt),
            self.marks["startoftranscript"],
            self.languages[language],
            self.marks[request.task],
            self.marks["0.00" if request.timestamps else "notimestamps"],
        ]

    def _before(self, prompt: str) -> list[int]:
        """The prompt as what was said before, as much of its end as half the context holds."""
        most = self.context // 2 - 1
        words = prompt.strip()[-most * CHARACTERS_A_TOKEN :]
        return [self.marks["startofprev"], *self.encode(f" {words}")[-most:]] if words else []

    def segments(self, said: Sequence[tuple[int, float]], begin: float, end: float, language: str) -> Iterator[Segment]:
        """The segments of one window from its tokens and their log probabilities; `begin` and `end` are its times."""
        zero = self.marks["0.00"]
        start = begin
        words: list[tuple[int, float]] = []
        for token, logprob in said:
            if token < zero:
                words += [] if token in self.special else [(token, logprob)]
                continue
            time = min(end, max(start, begin + (token - zero) * STEP))
            if words:
                yield self._segment(words, start, time, language)
            start, words = time, []
        if words:
            yield self._segment(words, start, end, language)

    def _segment(self, words: Sequence[tuple[int, float]], start: float, end: float, language: str) -> Segment:
        tokens = tuple(token for token, _ in words)
        mean = sum(logprob for _, logprob in words) / len(words)
        return Segment(round(start, 2), round(end, 2), self.decode(tokens), tokens, mean, language)
