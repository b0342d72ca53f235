"""Sound: encoded bytes in, 16-bit mono PCM out, and the other way. Knows neither HTTP nor engines."""

from audio.clip import WIDTH, Clip
from audio.decode import FORMATS, PIECE_SECONDS, RATE, BadSound, TooLong, load, pieces, sniff, told
from audio.passages import Passage, Passages
from audio.resample import Resampler, resampled
from audio.segments import cut, joined, louder, normalised, silence
from audio.sentence import sentences
from audio.spoken import PCM_RATE, SPOKEN, Encoder, encoded, encoder
from audio.stretch import FASTEST, SLOWEST, Stretcher, stretched
from audio.wav import wav

__all__ = [
    "FASTEST",
    "FORMATS",
    "PCM_RATE",
    "PIECE_SECONDS",
    "RATE",
    "SLOWEST",
    "SPOKEN",
    "WIDTH",
    "BadSound",
    "Clip",
    "Encoder",
    "Passage",
    "Passages",
    "Resampler",
    "Stretcher",
    "TooLong",
    "cut",
    "encoded",
    "encoder",
    "joined",
    "load",
    "louder",
    "normalised",
    "pieces",
    "resampled",
    "sentences",
    "silence",
    "sniff",
    "stretched",
    "told",
    "wav",
]
