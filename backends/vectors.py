"""Embeddings as bytes, shortened and normalised again on request."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from backends import Model
from backends.errors import Refused


def columns(dimensions: int | None, model: Model) -> int | None:
    """How many columns were asked for, None for all. Raises Refused."""
    if dimensions is not None and model.dimensions is not None and not 1 <= dimensions <= model.dimensions:
        raise Refused(f"dimensions goes from 1 to {model.dimensions}.", param="dimensions")
    return dimensions


def vector(values: Sequence[float], width: int | None) -> bytes:
    """float32 bytes of the first `width` values at length 1; all values as they are when `width` is None."""
    if width is not None and width < len(values):
        values = values[:width]
        norm = math.sqrt(sum(value * value for value in values)) or 1.0
        values = [value / norm for value in values]
    return array("f", values).tobytes()
