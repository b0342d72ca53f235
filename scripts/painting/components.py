"""Pictures as a few hundred numbers: the main components of all, at 32x32, in closed form."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from sources import Lesson
from tints import Tints, tensor
from torch import Tensor
from torch.nn import functional

SMALL = 32
COLUMNS = 512
# What a picture in another colour counts beside one as it is.
TINT = 0.15


class Components(NamedTuple):
    """`plain` and `tinted` are coefficients of all pictures [n, 512], `spread` the roots of their variances."""

    plain: Tensor
    tinted: Tensor
    middle: Tensor
    basis: Tensor
    spread: Tensor


def load(folder: Path) -> Components:
    """What `write` has written."""
    kept = torch.load(folder / "components.pt", weights_only=True)
    middle, basis = kept["middle"], kept["basis"]
    return Components(*((kept[name] - middle) @ basis.T for name in ("plain", "tinted")), middle, basis, kept["spread"])


def small(pictures: np.ndarray[Any, np.dtype[np.uint8]]) -> Tensor:
    """[n, 128, 128, 4] -> [n, 4096] of 32x32, 0 to 1."""
    rows = []
    for start in range(0, len(pictures), 256):
        rows.append(functional.avg_pool2d(tensor(pictures[start : start + 256]), 4).flatten(1))
    return torch.cat(rows)


def write(folder: Path, lesson: Lesson, tints: Tints) -> None:
    """Into components.pt: all pictures small, their middle, the components [512, 4096] and what each is worth."""
    began = time.process_time()
    plain, tinted = small(lesson.pictures), small(tints.pictures)
    middle = plain.mean(0)
    some = tinted[torch.randperm(len(tinted), generator=torch.Generator().manual_seed(0))[:5000]]
    rows = torch.cat([plain - middle, (some - middle) * TINT**0.5])
    _, directions = torch.linalg.eigh(rows.T @ rows)
    directions = directions[:, -COLUMNS:].flip(1).T.contiguous()
    spread = ((plain - middle) @ directions.T).square().mean(0).sqrt()
    left = 1 - spread.square().sum() / (plain - middle).square().sum(1).mean()
    print(f"{left:.2%} of the variance left out, {time.process_time() - began:.0f} s", flush=True)
    torch.save(
        {"plain": plain, "tinted": tinted, "middle": middle, "basis": directions, "spread": spread},
        folder / "components.pt",
    )
