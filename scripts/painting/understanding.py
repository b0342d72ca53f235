"""Training of the reader: of any caption it shall tell which picture of all is meant, and in which colour."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from networks import Reader
from reading import Captions, Words
from torch.nn import functional

from backends.emoji.colours import TARGETS

BATCH = 384
RATE = 3e-3
TINTED = 0.3
STEPS = 2400


def train(folder: Path, captions: Captions, known: Words, steps: int, device: str) -> Reader:
    """Ends in reader.pt."""
    torch.manual_seed(3)
    chance = np.random.default_rng(3)
    subjects, tints = len(captions.subjects), captions.tints
    own = torch.tensor([len(TARGETS)] * subjects)
    net = Reader(known.vectors, subjects).to(device)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.0)
    mean = np.zeros(3)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / 50) * (0.02 + 0.98 * (1 - step / steps))
        plain = chance.integers(subjects, size=round(BATCH * (1 - TINTED)))
        tinted = chance.integers(len(tints.subjects), size=BATCH - len(plain))
        texts = [captions.plain(place) for place in plain] + [captions.tinted(tint) for tint in tinted]
        whose = torch.from_numpy(np.concatenate([plain, tints.subjects[tinted]])).to(device)
        colours = torch.cat([own[plain], torch.from_numpy(tints.colours[tinted])]).to(device)
        subject, colour = net.likely(net.meaning(*known.tensors(texts, device)))
        loss = functional.cross_entropy(subject, whose) + 0.5 * functional.cross_entropy(colour, colours)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        right = [
            (found.argmax(1) == wanted).float().mean().item() for found, wanted in ((subject, whose), (colour, colours))
        ]
        mean += (np.array([loss.item(), *right]) - mean) * max(0.03, 1 / (step + 1))
        if (step + 1) % 100 == 0:
            print(
                "read {}/{} loss {:.3f} subject {:.3f} colour {:.3f}".format(step + 1, steps, *mean),
                f"{time.process_time():.0f} s",
                flush=True,
            )
            torch.save(net.state_dict(), folder / "reader.pt")
    return load(folder, known, subjects, device)


def load(folder: Path, known: Words, subjects: int, device: str) -> Reader:
    reader = Reader(known.vectors, subjects).to(device)
    reader.load_state_dict(torch.load(folder / "reader.pt", map_location=device, weights_only=True))
    return reader.eval()
