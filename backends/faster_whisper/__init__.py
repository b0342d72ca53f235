"""Whisper models by faster-whisper (CTranslate2), in a process of its own.

The engine is given samples, never a client's file: `audio` decodes that, within its limits.
"""

from backends.faster_whisper.backend import FasterWhisper

__all__ = ["FasterWhisper"]
