"""Training of imagination: a rectified flow over coefficients, from noise to a picture, led by the first idea."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from clearing import moved
from components import Components
from networks import Imagination, Reader
from reading import Captions, Words
from recalling import Idea
from sources import Lesson
from tints import tensor
from torch import Tensor
from torch.nn import functional

SEED = 11
BATCH, STEPS = 256, 28_000
RATE = 1.5e-3
SAVED_EVERY = 60.0
SILENT, COLOURED, MOVED = 0.08, 0.15, 0.2
# Ideas of each picture, each of another caption.
IDEAS, VARIANTS = 16, 1


class Bank(NamedTuple):
    """In units of `scale`: targets [subjects, 512], ideas of each [subjects, some, 512], each a little moved [subjects,
    some, 512]; ideas of captions with other colours [n, 512], and whose those are [n].
    """

    plain: Tensor
    ideas: Tensor
    moved: Tensor
    coloured: Tensor
    whose: Tensor
    scale: Tensor


def scale_of(parts: Components) -> Tensor:
    """Between equal steps for all columns and columns of equal spread; the spread of all is 1 together."""
    scale = parts.spread.clamp(min=1e-3).sqrt()
    return scale * (parts.spread / scale).square().mean().sqrt()


@torch.no_grad()
def bank(
    folder: Path, lesson: Lesson, parts: Components, means: tuple[Captions, Words, Reader, Idea], device: str
) -> Bank:
    """Made once of an idea.pt, then kept in the folder."""
    kept = folder / "bank.pt"
    if not kept.exists() or kept.stat().st_mtime < (folder / "idea.pt").stat().st_mtime:
        torch.manual_seed(1)
        captions, known, reader, idea = means
        scale = scale_of(parts)

        every, tinted = (each.to(device) for each in captions.chosen())

        def ideas(texts: list[str], chosen: Tensor) -> Tensor:
            parts_of = (slice(at, at + 2048) for at in range(0, len(texts), 2048))
            rows = [idea(reader(*known.tensors(texts[of], device), chosen[of])) for of in parts_of]
            return torch.cat(rows).cpu() / scale

        some = [ideas([captions.plain(place) for place in range(len(parts.plain))], every) for _ in range(IDEAS)]
        coloured = ideas([captions.tinted(tint) for tint in range(len(tinted))], tinted).half()
        variants = torch.stack([_moved(lesson, parts) / scale for _ in range(VARIANTS)], 1)
        torch.save((parts.plain / scale, torch.stack(some, 1).half(), variants, coloured, tinted.cpu(), scale), kept)
    return Bank(*(each.to(device) for each in torch.load(kept, weights_only=True)))


def _moved(lesson: Lesson, parts: Components) -> Tensor:
    rows = []
    for start in range(0, len(lesson.pictures), 256):
        small = functional.avg_pool2d(moved(tensor(lesson.pictures[start : start + 256])), 4)
        rows.append((small.flatten(1) - parts.middle) @ parts.basis.T)
    return torch.cat(rows)


def batch_of(kept: Bank, chance: np.random.Generator, size: int) -> tuple[Tensor, Tensor]:
    """Targets and ideas. A colour changes no target: colours come last."""
    some = round(size * COLOURED)
    tints, places = chance.integers(len(kept.whose), size=some), chance.integers(len(kept.plain), size=size - some)
    some = round(len(places) * MOVED)
    variants = chance.integers(VARIANTS, size=some)
    targets = torch.cat([kept.plain[kept.whose[tints]], kept.moved[places[:some], variants], kept.plain[places[some:]]])
    ideas = torch.cat([kept.coloured[tints], kept.ideas[places, chance.integers(IDEAS, size=len(places))]])
    heard = torch.from_numpy(chance.random(size) > SILENT).to(ideas.device)
    return targets, ideas.float() * heard[:, None]


def flow_loss(net: Imagination, targets: Tensor, ideas: Tensor) -> Tensor:
    """The net is asked for the picture itself; what is nearly done weighs more."""
    # Early on it is decided what the picture is of: more of the times are early.
    time_ = torch.rand(len(targets), device=targets.device) ** 1.5
    noisy = torch.lerp(torch.randn_like(targets), targets, time_[:, None])
    error = (net(noisy, time_, ideas).float() - targets).square().mean(1)
    return (error / (1.15 - time_)).mean()


def train(folder: Path, kept: Bank, steps: int, device: str, size: int) -> Imagination:
    """Goes on where it was stopped; saved every minute to imagination.pt."""
    net = Imagination().to(device)
    optimizer = torch.optim.AdamW(net.parameters(), RATE, betas=(0.9, 0.98), weight_decay=0.0)
    average = torch.optim.swa_utils.AveragedModel(net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998))
    file, step = folder / "imagination.pt", 0
    if file.exists():
        state = torch.load(file, map_location=device, weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step = state["step"]
    torch.manual_seed(step)
    chance = np.random.default_rng((SEED, step))
    saved, mean, first = time.monotonic(), 0.0, step
    while step < steps:
        for group in optimizer.param_groups:
            fall = 0.5 + 0.5 * math.cos(math.pi * step / steps)
            group["lr"] = RATE * min(1, (step + 1) / 100) * (0.01 + 0.99 * fall)
        targets, ideas = batch_of(kept, chance, size)
        with torch.autocast(torch.device(device).type, torch.bfloat16):
            loss = flow_loss(net, targets, ideas)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        average.update_parameters(net)
        step += 1
        mean += (loss.item() - mean) * max(0.01, 1 / (step - first))
        if step % 250 == 0:
            print(f"imagine {step}/{steps} loss {mean:.4f} {time.process_time():.0f} s", flush=True)
        if time.monotonic() - saved > SAVED_EVERY or step == steps:
            saved = time.monotonic()
            state = {"net": net.state_dict(), "average": average.state_dict(), "step": step}
            torch.save({**state, "optimizer": optimizer.state_dict()}, file.with_suffix(".new"))
            file.with_suffix(".new").rename(file)
    return load(folder, device)


def load(folder: Path, device: str) -> Imagination:
    """The average of the last weights."""
    state = torch.load(folder / "imagination.pt", map_location=device, weights_only=True)["average"]
    net = Imagination().to(device)
    net.load_state_dict({name.removeprefix("module."): each for name, each in state.items() if name != "n_averaged"})
    return net.eval()


@torch.no_grad()
def imagined(net: Imagination, ideas: Tensor, seed: int = 0, steps: int = 12, guidance: float = 1.5) -> Tensor:
    """[prompts, 512], in units of the scale."""
    now = torch.randn(ideas.shape, generator=torch.Generator().manual_seed(seed)).to(ideas.device)
    for step in range(steps):
        time_ = torch.full((len(now),), step / steps, device=now.device)
        led, free = net(now, time_, ideas), net(now, time_, torch.zeros_like(ideas))
        now = torch.lerp(now, free + guidance * (led - free), 1 / (steps - step))
    return now
