"""What a file says of itself, which may be wrong: good for telling how far work has come, and for nothing else."""

from __future__ import annotations

import importlib
import io
from contextlib import closing
from typing import Any

from audio.decode import DECODERS, FORMATS, sniff


def claimed_seconds(data: bytes) -> float:
    """How long the sound is by its head; 0 where that does not tell."""
    name = sniff(data)
    if name is None:
        return 0.0
    try:
        av: Any = importlib.import_module("av")
    except ImportError:
        return 0.0
    options = {"codec_whitelist": DECODERS, "protocol_whitelist": "pipe"}
    try:
        opened = av.open(io.BytesIO(data), format=FORMATS[name], options=options, metadata_errors="ignore")
        with closing(opened) as container:
            return max(0.0, float(container.duration or 0) / float(av.time_base))
    except (av.FFmpegError, ValueError, EOFError, MemoryError):
        return 0.0
