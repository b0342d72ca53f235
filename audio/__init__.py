"""Sound: encoded bytes in, 16-bit mono PCM out, and the other way. Knows neither HTTP nor engines."""

from audio.clip import WIDTH, Clip
from audio.decode import FORMATS, RATE, BadSound, TooLong, load, pieces, pieces_soon, sniff
from audio.resample import Resampler, resampled
from audio.spoken import PCM_RATE, SPOKEN, Encoder, encoded, encoder
from audio.wav import wav

__all__ = [
    "FORMATS",
    "PCM_RATE",
    "RATE",
    "SPOKEN",
    "WIDTH",
    "BadSound",
    "Clip",
    "Encoder",
    "Resampler",
    "TooLong",
    "encoded",
    "encoder",
    "load",
    "pieces",
    "pieces_soon",
    "resampled",
    "sniff",
    "wav",
]
