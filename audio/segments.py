"""Whole clips put together, cut and made louder: the one door to pydub, which loads when first used.

pydub works on samples here. It is never given a file, nor a client's data: that is decoded by our own guarded means.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from audio.clip import WIDTH, Clip
from audio.resample import resampled

if TYPE_CHECKING:
    from pydub import AudioSegment

# What joined clips begin and end with: a wave that starts at once clicks.
FADE_MILLISECONDS = 4
LOUDNESS, PEAK = -20.0, -1.0


def silence(seconds: float, rate: int) -> Clip:
    """No sound for so long."""
    return Clip(bytes(round(seconds * rate) * WIDTH), rate)


def joined(clips: Iterable[Clip], pause: float = 0.0) -> Clip:
    """One after the other with `pause` seconds between, at the rate of the first; each fades in and out.

    Raises ValueError if there are none, ImportError without the packages `pydub` and, for other rates, `av`.
    """
    first, *others = clips
    gap = _segment(silence(pause, first.rate))
    whole = _faded(first)
    for clip in others:
        whole += gap + _faded(Clip(resampled(clip.pcm, clip.rate, first.rate), first.rate))
    return _clip(whole)


def cut(clip: Clip, start: float, end: float | None = None) -> Clip:
    """From `start` to `end` seconds, to the sample; what lies outside of the clip is not there."""
    segment = _segment(clip)
    last = None if end is None else round(end * clip.rate)
    return _clip(segment.get_sample_slice(round(start * clip.rate), last))


def louder(clip: Clip, decibels: float) -> Clip:
    """By so much, or quieter if below 0; what would be louder than 16 bits can say is clipped."""
    return _clip(_segment(clip).apply_gain(decibels))


def normalised(clip: Clip, loudness: float = LOUDNESS, peak: float = PEAK) -> Clip:
    """As loud on the whole as `loudness` says, in decibels (RMS) below full scale, but nowhere louder than `peak`.

    Silence stays silence.
    """
    segment = _segment(clip)
    gain = min(loudness - segment.dBFS, peak - segment.max_dBFS)
    return clip if math.isinf(gain) else _clip(segment.apply_gain(gain))


def _faded(clip: Clip) -> AudioSegment:
    segment = _segment(clip)
    fade = min(FADE_MILLISECONDS, len(segment) // 2)
    return segment.fade_in(fade).fade_out(fade) if fade else segment


def _segment(clip: Clip) -> AudioSegment:
    return _pydub()(data=clip.pcm, sample_width=WIDTH, frame_rate=clip.rate, channels=1)


def _clip(segment: AudioSegment) -> Clip:
    return Clip(bytes(segment.raw_data), segment.frame_rate)


@functools.cache
def _pydub() -> Any:
    with warnings.catch_warnings():
        # It looks for an ffmpeg program, which is not needed, and uses a module that Python means to drop.
        warnings.simplefilter("ignore")
        from pydub import AudioSegment
    return AudioSegment
