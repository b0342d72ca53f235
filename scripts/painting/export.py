"""The trained networks -> one file of at most 10 MB that the backend reads: matrices as bytes, a scale for each row."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from components import Components
from networks import Imagination, Painter, Reader
from reading import Words
from recalling import Idea
from torch import Tensor

TARGET = Path("backends/emoji/weights/painter.npz")
# Words that no caption has: so many of the most common ones are kept.
COMMON = 2_500


def export(
    target: Path, known: Words, parts: Components, networks: tuple[Reader, Idea, Imagination, Painter], scale: Tensor
) -> str:
    """Write it; its SHA-256, which the backend pins."""
    reader, idea, imagination, painter = networks
    words = list(known.numbers)[: known.captioned + COMMON]
    arrays: dict[str, Any] = {"words": np.frombuffer("\n".join(words).encode(), np.uint8)}
    state: dict[str, Tensor] = {"basis": parts.basis, "middle": parts.middle, "scale": scale}
    for name, net in (("reader", reader), ("imagination", imagination), ("painter", painter)):
        state |= {f"{name}.{each}": values for each, values in net.state_dict().items()}
    state["reader.table"] = state["reader.table"][: len(words) + 1]
    state |= {"idea.spread": idea.spread.T, "idea.shift": idea.shift, "idea.matrix": idea.matrix.T}
    for name, each in state.items():
        values = each.detach().cpu().numpy().astype(np.float32)
        if values.ndim == 1:
            arrays[name] = values
        else:
            arrays[name], arrays[f"{name}.scale"] = rounded(values)
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(file.getvalue())
    print(f"{target}: {target.stat().st_size / 1e6:.2f} MB")
    return hashlib.sha256(file.getvalue()).hexdigest()


def rounded(values: np.ndarray[Any, np.dtype[np.float32]]) -> tuple[Any, Any]:
    """Rows of whole numbers from -127 to 127, and what 1 is worth in each row."""
    rows = values.reshape(len(values), -1)
    scale = np.maximum(np.abs(rows).max(1) / 127, 1e-8).astype(np.float32)
    return np.round(rows / scale[:, None]).astype(np.int8).reshape(values.shape), scale
