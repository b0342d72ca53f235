"""What is meant -> a first idea of the picture, in closed form: a ridge regression on random features."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from components import Components
from networks import MEANT, Reader
from reading import Captions, Words
from torch import Tensor, nn

FEATURES = 4096
WIDTH = 0.62
RIDGE = 1e-3
PLAIN, NAMED = 12, 3.0
COLOURED = 0.5
SEED = 5
AT_ONCE = 2048


class Idea(nn.Module):
    """What is meant [n, 192] -> coefficients [n, 512]. The features' products are nearly a Gaussian of the distances
    (Rahimi and Recht, 2007).
    """

    def __init__(self, columns: int) -> None:
        super().__init__()
        chance = np.random.default_rng(SEED)
        spread = chance.standard_normal((MEANT, FEATURES), np.float32) / np.float32(WIDTH)
        self.register_buffer("spread", torch.from_numpy(spread))
        self.register_buffer("shift", torch.from_numpy(chance.random(FEATURES, np.float32)) * 2 * torch.pi)
        self.register_buffer("matrix", torch.zeros(FEATURES, columns))

    def features(self, meant: Tensor) -> Tensor:
        return torch.cos(meant @ self.spread + self.shift) * (2 / FEATURES) ** 0.5

    def forward(self, meant: Tensor) -> Tensor:
        return self.features(meant) @ self.matrix


@torch.no_grad()
def solve(folder: Path, captions: Captions, known: Words, reader: Reader, parts: Components, device: str) -> Idea:
    """Ends in idea.pt."""
    began, idea = time.process_time(), Idea(parts.plain.shape[1]).to(device)
    left = torch.zeros(FEATURES, FEATURES, device=device)
    right = torch.zeros(FEATURES, parts.plain.shape[1], device=device)

    def add(texts: list[str], chosen: Tensor, targets: Tensor, weight: float) -> None:
        for start in range(0, len(texts), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            features = idea.features(reader(*known.tensors(texts[some], device), chosen[some]))
            left.addmm_(features.T, features, alpha=weight)
            right.addmm_(features.T, targets[some].to(device), alpha=weight)

    every, tinted = (each.to(device) for each in captions.chosen())
    add([subject.name for subject in captions.subjects], every, parts.plain, NAMED)
    for _ in range(PLAIN):
        add([captions.plain(place) for place in range(len(parts.plain))], every, parts.plain, 1.0)
    # Colours change nothing here: they come last.
    add([captions.tinted(tint) for tint in range(len(tinted))], tinted, parts.plain[tinted.cpu()], COLOURED)
    left.diagonal().add_(RIDGE * left.diagonal().mean())
    idea.matrix.copy_(torch.linalg.solve(left, right))
    torch.save(idea.state_dict(), folder / "idea.pt")
    print(f"idea: {time.process_time() - began:.0f} s, largest {idea.matrix.abs().max():.2f}", flush=True)
    return idea


def load(folder: Path, columns: int, device: str) -> Idea:
    idea = Idea(columns).to(device)
    idea.load_state_dict(torch.load(folder / "idea.pt", map_location=device, weights_only=True))
    return idea
