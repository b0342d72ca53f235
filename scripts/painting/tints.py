"""All pictures in all colours that they can have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from colours import called
from sources import Lesson
from torch import Tensor

from backends.emoji.colours import TARGETS, recoloured


class Tints:
    """[tints, 128, 128, 4], and whose and in which colour each is."""

    def __init__(self, folder: Path, lesson: Lesson) -> None:
        if not (folder / "tints.npy").exists():
            _write_tints(folder, lesson)
        self.pictures = np.load(folder / "tints.npy", mmap_mode="r")
        kept = np.load(folder / "tints.npz")
        self.subjects, self.colours, self.own = kept["subjects"], kept["colours"], kept["own"]


def _write_tints(folder: Path, lesson: Lesson) -> None:
    names = list(TARGETS)
    tints, subjects, colours, own = [], [], [], []
    for place, picture in enumerate(lesson.pictures):
        floats = picture.astype(np.float32) / 255
        mine = called(floats)
        own.append(names.index(mine) if mine else -1)
        for number, name in enumerate(names):
            tint = None if name == mine else recoloured(floats, name)
            if tint is not None:
                tints.append((tint * 255 + 0.5).astype(np.uint8))
                subjects.append(place)
                colours.append(number)
    np.savez(folder / "tints.npz", subjects=subjects, colours=colours, own=own)
    np.save(folder / "tints.npy", np.stack(tints))


def tensor(pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """Bytes [n, side, side, 4] -> 0 to 1 [n, 4, side, side]."""
    return torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float() / 255
