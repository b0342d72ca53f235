"""What the networks are made of, in numpy: pictures are [n, height, width, channels], numbers float32."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

# Of 32 bits, though numpy tells the type checker less of some results.
Floats: TypeAlias = np.ndarray[Any, np.dtype[Any]]
SCALE = ".scale"


def read(content: bytes) -> dict[str, Any]:
    """Arrays by name, of an npz file. What was kept as bytes with a scale for each row is float32 again."""
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        kept = {name: file[name] for name in file.files}
    return {name: _whole(name, array, kept) for name, array in kept.items() if not name.endswith(SCALE)}


def _whole(name: str, array: Any, kept: Mapping[str, Any]) -> Any:
    scale = kept.get(name + SCALE)
    if scale is None:
        return array.astype(np.float32) if array.dtype == np.float16 else array
    return array.astype(np.float32) * scale.astype(np.float32).reshape(-1, *[1] * (array.ndim - 1))


def silu(given: Floats) -> Floats:
    # Clipped, since the exponential of much less would overflow.
    found: Floats = given / (1 + np.exp(-np.maximum(given, -80)))
    return found


def normal(given: Floats) -> Floats:
    """Of mean 0 and variance 1 along the last axis."""
    middle = given - given.mean(-1, keepdims=True)
    found: Floats = middle / np.sqrt(np.square(middle).mean(-1, keepdims=True) + 1e-5)
    return found


class Net:
    """The arrays of one network: linear layers, and convolutions by matrix products."""

    def __init__(self, arrays: Mapping[str, Any], prefix: str) -> None:
        self.arrays = {name.removeprefix(prefix): each for name, each in arrays.items() if name.startswith(prefix)}
        self._matrices = {
            name.removesuffix(".weight"): np.ascontiguousarray(_matrix(each))
            for name, each in self.arrays.items()
            if name.endswith(".weight")
        }

    def linear(self, name: str, given: Floats) -> Floats:
        """[..., columns] -> [..., others]; a convolution of one place is that too."""
        found: Floats = given @ self._matrices[name] + self.arrays[f"{name}.bias"]
        return found

    def convolved(self, name: str, given: Floats, stride: int = 1) -> Floats:
        """Three by three places, with zeros around the picture."""
        around = np.pad(given, ((0, 0), (1, 1), (1, 1), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(around, (3, 3), (1, 2))[:, ::stride, ::stride]
        rows, height, width = windows.shape[:3]
        # [rows, height, width, channels, 3, 3], as the weights lie.
        columns = windows.reshape(rows * height * width, -1)
        return self.linear(name, columns).reshape(rows, height, width, -1)

    def pair(self, name: str, given: Floats) -> Floats:
        """Two convolutions beside a way past them."""
        inner = self.convolved(f"{name}.first", silu(given))
        return given + self.convolved(f"{name}.second", silu(inner))


def _matrix(weight: Any) -> Any:
    return weight.reshape(len(weight), -1).T


def spread(given: Floats, by: int = 2) -> Floats:
    """Channels become places: [n, h, w, c * by * by] -> [n, h * by, w * by, c]."""
    rows, height, width, channels = given.shape
    apart = given.reshape(rows, height, width, channels // by**2, by, by)
    return apart.transpose(0, 1, 4, 2, 5, 3).reshape(rows, height * by, width * by, -1)


def gathered(given: Floats, by: int) -> Floats:
    """Places become channels: the other way round."""
    rows, height, width, channels = given.shape
    apart = given.reshape(rows, height // by, by, width // by, by, channels)
    return apart.transpose(0, 1, 3, 5, 2, 4).reshape(rows, height // by, width // by, -1)
