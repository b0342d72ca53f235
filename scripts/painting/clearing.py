"""Training of the painter: what components only sketch, clear and four times as large, without their grain."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from components import Components
from networks import Painter
from sources import Lesson
from tints import Tints, tensor
from torch import Tensor
from torch.nn import functional

BATCH, STEPS = 24, 2600
RATE = 2e-3
SAVED_EVERY = 60.0
# One picture in so many lies on a colour.
GROUNDED = 12
# How wrong coefficients are at most, in parts of what they spread.
WRONG, BROAD = 0.5, 120


def moved(pictures: Tensor) -> Tensor:
    """A little larger or smaller, turned and shifted; what comes in is transparent."""
    count = len(pictures)
    angle, scale = torch.randn(count) * 0.06, 0.98 + torch.rand(count) * 0.14
    rows = torch.stack([angle.cos() * scale, -angle.sin() * scale, torch.randn(count) * 0.03], 1)
    columns = torch.stack([angle.sin() * scale, angle.cos() * scale, torch.randn(count) * 0.03], 1)
    grid = functional.affine_grid(torch.stack([rows, columns], 1), list(pictures.shape), align_corners=False)
    return functional.grid_sample(pictures, grid, align_corners=False)


def grounded(pictures: Tensor) -> Tensor:
    """A few of them on a ground of one colour."""
    few = pictures[::GROUNDED]
    few[:, :3] += (1 - few[:, 3:]) * torch.rand(len(few), 3, 1, 1)
    few[:, 3] = 1
    pictures[::GROUNDED] = few
    return pictures


def sketched(pictures: Tensor, parts: Components) -> Tensor:
    """[n, 4, 32, 32] by components, whose coefficients are a little wrong."""
    rows = functional.avg_pool2d(pictures, 4).flatten(1)
    found = (rows - parts.middle) @ parts.basis.T
    wrong = torch.minimum(parts.spread, parts.spread[BROAD]) * torch.rand(len(rows), 1) * WRONG
    return ((found + wrong * torch.randn_like(found)) @ parts.basis + parts.middle).unflatten(1, (4, 32, 32))


def loss_of(painted: Tensor, wanted: Tensor) -> Tensor:
    """How far apart, at the edges too, and down to an eighth of the size."""
    error = painted - wanted
    loss = error.abs().mean()
    for way in (2, 3):
        loss = loss + error.diff(dim=way).abs().mean()
    for _ in range(3):
        error = functional.avg_pool2d(error, 2)
        loss = loss + 0.7 * error.abs().mean() + error.square().mean()
    return loss


class Course:
    """A training that is saved every minute, and that goes on where it was stopped."""

    def __init__(self, file: Path, steps: int, device: str) -> None:
        self.file, self.steps = file, steps
        self.painter = Painter().to(device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.painter.parameters(), RATE, betas=(0.9, 0.98), weight_decay=1e-4)
        average = torch.optim.swa_utils.get_ema_multi_avg_fn(0.99)
        self.average = torch.optim.swa_utils.AveragedModel(self.painter, multi_avg_fn=average)
        self.step, self._saved = 0, time.monotonic()
        if file.exists():
            state = torch.load(file, map_location=device, weights_only=True)
            for name in ("painter", "average", "optimizer"):
                getattr(self, name).load_state_dict(state[name])
            self.step = state["step"]

    def learn(self, loss: Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = RATE * min(1, (self.step + 1) / 50) * (0.02 + 0.98 * (1 - self.step / self.steps))
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.painter.parameters(), 1.0)
        self.optimizer.step()
        self.average.update_parameters(self.painter)
        self.step += 1
        if time.monotonic() - self._saved > SAVED_EVERY or self.step == self.steps:
            self._saved = time.monotonic()
            state = {name: getattr(self, name).state_dict() for name in ("painter", "average", "optimizer")}
            torch.save({**state, "step": self.step}, self.file.with_suffix(".new"))
            self.file.with_suffix(".new").rename(self.file)


def train(folder: Path, lesson: Lesson, parts: Components, steps: int, device: str, batch: int) -> None:
    """Ends in painter.pt."""
    tints, course = Tints(folder, lesson), Course(folder / "painter.pt", steps, device)
    chance = np.random.default_rng(course.step)
    torch.manual_seed(course.step)
    mean, first = 0.0, course.step
    while course.step < steps:
        plain = lesson.pictures[chance.integers(len(lesson.pictures), size=batch * 5 // 8)]
        tinted = tints.pictures[np.sort(chance.integers(len(tints.pictures), size=batch - len(plain)))]
        pictures = tensor(np.concatenate([plain, tinted]))
        pictures = grounded(moved(pictures) if course.step % 2 else pictures)
        sketches = sketched(pictures, parts).to(device, memory_format=torch.channels_last)
        pictures = pictures.to(device, memory_format=torch.channels_last)
        with torch.autocast(pictures.device.type, torch.bfloat16):
            painted = course.painter(sketches)
        loss = loss_of(painted.float(), pictures)
        course.learn(loss)
        mean += (loss.item() - mean) * max(0.02, 1 / (course.step - first))
        if course.step % 50 == 0:
            print(f"paint {course.step}/{steps} loss {mean:.4f} {time.process_time():.0f} s", flush=True)


def load(folder: Path, device: str) -> Painter:
    """The average of the last weights."""
    state = torch.load(folder / "painter.pt", map_location=device, weights_only=True)["average"]
    painter = Painter().to(device)
    painter.load_state_dict(
        {name.removeprefix("module."): each for name, each in state.items() if name != "n_averaged"}
    )
    return painter.eval()
