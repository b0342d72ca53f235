"""Sound: encoded bytes in, 16-bit mono PCM out. Knows neither HTTP nor engines."""

from audio.claims import claimed_seconds
from audio.clip import WIDTH, Clip
from audio.decode import FORMATS, RATE, BadSound, TooLong, load, pieces, pieces_soon, sniff
from audio.wav import wav

__all__ = [
    "FORMATS",
    "RATE",
    "WIDTH",
    "BadSound",
    "Clip",
    "TooLong",
    "claimed_seconds",
    "load",
    "pieces",
    "pieces_soon",
    "sniff",
    "wav",
]
