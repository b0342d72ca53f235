"""Where words are: a map of how likely each point belongs to some -> boxes, with numpy alone.

Method: Liao et al., "Real-time Scene Text Detection with Differentiable Binarization" (https://arxiv.org/abs/1911.08947).
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from msgspec import Struct

Array: TypeAlias = "np.ndarray[Any, Any]"

LIKELY = 0.3
SURE = 0.55
SMALLEST = 3.0
MOST = 1000
# How much a box grows, as a share of its area to its circumference: the map shows only the middle of words.
GROWTH = 1.6


class Box(Struct, frozen=True):
    """A rectangle around words: its middle and its sides in pixels, and its slope in radians: from -pi/4 to pi/4."""

    x: float
    y: float
    width: float
    height: float
    slope: float

    @property
    def tall(self) -> bool:
        """Whether its words run up or down."""
        return self.height >= 1.5 * self.width


def boxes(likely: Array, scale: tuple[float, float]) -> list[Box]:
    """The boxes of a map of height x width float32; `scale` is what its points are to the picture's, both ways."""
    found = []
    runs = _runs(likely > LIKELY)
    totals = np.concatenate([np.zeros((likely.shape[0], 1), np.float32), np.cumsum(likely, axis=1)], axis=1)
    for row, begin, end in _joined(*runs)[:MOST]:
        if (totals[row, end] - totals[row, begin]).sum() / (end - begin).sum() < SURE:
            continue
        box = _around(row, begin, end)
        if min(box.width, box.height) < SMALLEST:
            continue
        found.append(_scaled(_grown(box), scale))
    return found


def _runs(mask: Array) -> tuple[Array, Array, Array]:
    """Row, begin and end of every run of points that are set."""
    edges = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, begin = np.nonzero(edges == 1)
    end = np.nonzero(edges == -1)[1]
    return row, begin, end


def _joined(row: Array, begin: Array, end: Array) -> list[tuple[Array, Array, Array]]:
    """The runs of each patch: those that touch one another, corners too. The largest patches first."""
    parent = list(range(len(row)))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    rows, begins, ends = row.tolist(), begin.tolist(), end.tolist()
    above = 0
    for run in range(len(rows)):
        while above < run and (
            rows[above] < rows[run] - 1 or (rows[above] == rows[run] - 1 and ends[above] < begins[run])
        ):
            above += 1
        other = above
        while other < run and rows[other] == rows[run] - 1 and begins[other] <= ends[run]:
            parent[root(run)] = root(other)
            other += 1
    roots = np.array([root(run) for run in range(len(rows))], np.int64)
    order = np.argsort(roots, kind="stable")
    cuts = np.nonzero(np.diff(roots[order]))[0] + 1
    groups = np.split(order, cuts) if len(rows) else []
    return [(row[group], begin[group], end[group]) for group in sorted(groups, key=len, reverse=True)]


def _around(row: Array, begin: Array, end: Array) -> Box:
    """The smallest rectangle around the runs of a patch."""
    points = np.concatenate([np.stack([begin, row], axis=1), np.stack([end - 1, row], axis=1)]).astype(np.float64)
    hull = _hull(points)
    sides = np.diff(np.vstack([hull, hull[:1]]), axis=0)
    angles = np.unique(np.mod(np.arctan2(sides[:, 1], sides[:, 0]) + math.pi / 4, math.pi / 2) - math.pi / 4)
    cosine, sine = np.cos(angles)[:, None], np.sin(angles)[:, None]
    along, across = cosine * hull[:, 0] + sine * hull[:, 1], cosine * hull[:, 1] - sine * hull[:, 0]
    width, height = np.ptp(along, axis=1), np.ptp(across, axis=1)
    best = int(np.argmin((width + 1) * (height + 1)))
    u = float(along[best].max() + along[best].min()) / 2
    v = float(across[best].max() + across[best].min()) / 2
    slope = float(angles[best])
    c, s = math.cos(slope), math.sin(slope)
    return Box(c * u - s * v, s * u + c * v, float(width[best]), float(height[best]), slope)


def _hull(points: Array) -> Array:
    """The corners of the convex shape around points, in order (Andrew's monotone chain)."""
    ordered = sorted(set(map(tuple, points.tolist())))
    if len(ordered) < 3:
        return np.array(ordered)

    def half(given: list[tuple[float, ...]]) -> list[tuple[float, ...]]:
        chain: list[tuple[float, ...]] = []
        for x, y in given:
            while len(chain) > 1:
                (ax, ay), (bx, by) = chain[-2], chain[-1]
                if (bx - ax) * (y - ay) - (by - ay) * (x - ax) > 0:
                    break
                chain.pop()
            chain.append((x, y))
        return chain[:-1]

    return np.array(half(ordered) + half(ordered[::-1]))


def _grown(box: Box) -> Box:
    more = box.width * box.height * GROWTH / (box.width + box.height)  # twice the area to the circumference
    return Box(box.x, box.y, box.width + more, box.height + more, box.slope)


def _scaled(box: Box, scale: tuple[float, float]) -> Box:
    """In the picture's own points; both scales are nearly the same, so that it stays a rectangle."""
    x, y = scale
    mean = math.sqrt(x * y)
    return Box((box.x + 0.5) * x, (box.y + 0.5) * y, box.width * mean, box.height * mean, box.slope)
