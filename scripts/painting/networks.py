"""The networks: one reads, one paints what components only sketch, one imagines what is not said."""

from __future__ import annotations

import torch
from components import COLUMNS
from torch import Tensor, nn
from torch.nn import functional

from backends.emoji.colours import TARGETS
from backends.emoji.networks import BESIDE, DECIDED, SHARP

HEADS, APART, MEANT = 4, 32, 192
CONDITION = 256
WIDTH, BLOCKS = 576, 3


class Pair(nn.Module):
    """Two convolutions beside a way past them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, given: Tensor) -> Tensor:
        return given + self.second(functional.silu(self.first(functional.silu(given))))


class Painter(nn.Module):
    """Premultiplied RGBA [n, 4, 32, 32] as components have it -> clear at [n, 4, 128, 128]; 0 to 1."""

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(4, 48, 3, padding=1)
        self.before = Pair(48)
        self.down = nn.Conv2d(48 * 4, 96, 1)
        self.wide = Pair(96)
        self.wider = Pair(96)
        self.up = nn.Conv2d(96, 48 * 4, 1)
        self.after = Pair(48)
        self.larger = nn.Conv2d(48, 32 * 4, 1)
        self.leave = nn.Conv2d(32, 16, 3, padding=1)
        nn.init.zeros_(self.leave.weight)

    def forward(self, sketch: Tensor) -> Tensor:
        fine = self.before(self.enter(sketch * 2 - 1))
        coarse = self.wider(self.wide(self.down(functional.pixel_unshuffle(fine, 2))))
        fine = self.after(fine + functional.pixel_shuffle(self.up(coarse), 2))
        large = functional.silu(functional.pixel_shuffle(self.larger(fine), 2))
        plain = functional.interpolate(sketch, scale_factor=4, mode="bilinear")
        return plain + functional.pixel_shuffle(self.leave(large), 2)


class Reader(nn.Module):
    """Numbers of words [n, words], and which are there -> what is meant [n, 192], of length 1.

    `HEADS` heads look for the words that matter, by those and by the words beside them. To the vectors of meanings come
    columns that tell words apart. Of all subjects one is decided on, whose vector is then more than the others' in what
    is meant. Of the colours, the last is a subject's own.
    """

    meant = MEANT

    def __init__(self, vectors: Tensor, subjects: int) -> None:
        super().__init__()
        self.subjects = nn.Parameter(torch.randn(subjects, MEANT))
        self.colours = nn.Parameter(torch.randn(len(TARGETS) + 1, MEANT))
        apart = torch.randn(len(vectors), APART, generator=torch.Generator().manual_seed(0)) * (0.5 / APART**0.5)
        self.table = nn.Parameter(torch.cat([vectors, apart], 1))
        columns = self.table.shape[1]
        self.look = nn.Linear(columns * (2 * BESIDE + 1), HEADS)
        self.wide = nn.Linear(columns * HEADS, 256)
        self.narrow = nn.Linear(256, MEANT)

    def meaning(self, numbers: Tensor, there: Tensor) -> Tensor:
        """Before anything is decided."""
        words = self.table[numbers] * there[..., None]
        around = functional.pad(words, (0, 0, BESIDE, BESIDE)).unfold(1, 2 * BESIDE + 1, 1).transpose(2, 3).flatten(2)
        looks = 4 * self.look(around) - 1e4 * (1 - there[..., None])
        # A word of no weight beside the others, so that a prompt may also say nothing.
        looks = torch.cat([looks, torch.zeros_like(looks[:, :1])], 1).softmax(1)[:, :-1]
        seen = torch.einsum("nwh,nwc->nhc", looks, words).flatten(1)
        return functional.normalize(self.narrow(functional.silu(self.wide(seen * 2))), dim=-1)

    def likely(self, meant: Tensor) -> tuple[Tensor, Tensor]:
        """Logarithms of how likely each subject and each colour is, but for a constant: [n, subjects], [n, colours]."""
        subjects, colours = (functional.normalize(each, dim=1).T for each in (self.subjects, self.colours))
        return float(SHARP) * meant @ subjects, float(SHARP) * meant @ colours

    def forward(self, numbers: Tensor, there: Tensor, chosen: Tensor) -> Tensor:
        """With the subjects of those numbers [n] decided on."""
        meant, unit = self.meaning(numbers, there), functional.normalize(self.subjects, dim=1)
        decided = meant + float(DECIDED) * (unit[chosen] - self.likely(meant)[0].softmax(1) @ unit)
        return functional.normalize(decided, dim=1)


class Block(nn.Module):
    """A residual step that what to draw, and how far the drawing is, modulate."""

    def __init__(self) -> None:
        super().__init__()
        self.modulate = nn.Linear(CONDITION, WIDTH * 2)
        self.first = nn.Linear(WIDTH, WIDTH)
        self.second = nn.Linear(WIDTH, WIDTH)
        nn.init.zeros_(self.second.weight)

    def forward(self, given: Tensor, condition: Tensor) -> Tensor:
        scale, shift = self.modulate(condition).chunk(2, -1)
        normal = functional.layer_norm(given, (WIDTH,)) * (1 + scale) + shift
        return given + self.second(functional.silu(self.first(normal)))


class Imagination(nn.Module):
    """Coefficients mixed with noise, how much of that is picture (0 to 1), and the first idea -> the coefficients."""

    def __init__(self) -> None:
        super().__init__()
        self.time = nn.Linear(16, CONDITION)
        self.about = nn.Linear(COLUMNS, CONDITION)
        self.mix = nn.Linear(CONDITION, CONDITION)
        self.enter = nn.Linear(COLUMNS, WIDTH)
        self.idea = nn.Linear(COLUMNS, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.leave = nn.Linear(WIDTH, COLUMNS)
        self.register_buffer("waves", torch.exp(torch.linspace(0, 3, 8)))
        nn.init.zeros_(self.leave.weight)

    def forward(self, noisy: Tensor, time: Tensor, idea: Tensor) -> Tensor:
        angles = time[:, None] * self.waves
        condition = functional.silu(self.time(torch.cat([angles.sin(), angles.cos()], -1)) + self.about(idea))
        condition = functional.silu(self.mix(condition))
        hidden = self.enter(noisy) + self.idea(idea)
        for block in self.blocks:
            hidden = block(hidden, condition)
        imagined: Tensor = idea + self.leave(functional.layer_norm(hidden, (WIDTH,)))
        return imagined
