"""Numbers for people: percentiles, verdicts, a plain table."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from msgspec import Struct


class Line(Struct):
    """One measured figure of both servers; `ratio` is the median of the ratios of interleaved runs."""

    case: str
    figure: str
    unit: str
    ours: float
    bare: float | None = None
    ratio: float | None = None
    must: float | None = None
    target: float | None = None

    @property
    def verdict(self) -> str:
        value = self.ratio if self.ratio is not None else self.ours
        if self.target is not None and value <= self.target:
            return "target"
        if self.must is None:
            return ""
        return "pass" if value <= self.must else "FAIL"


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which `part` (0 to 1) of the values lie; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


def compared(case: str, figure: str, unit: str, ours: Sequence[float], bare: Sequence[float]) -> Line:
    """A line from interleaved repetitions: medians, and the median of their ratios."""
    ratios = [mine / theirs for mine, theirs in zip(ours, bare, strict=True) if theirs]
    ratio = statistics.median(ratios) if ratios else None
    return Line(case, figure, unit, statistics.median(ours), statistics.median(bare), ratio)


def table(lines: Sequence[Line]) -> str:
    """The lines as a table with aligned columns."""
    rows = [("case", "figure", "ours", "other", "ratio", "must", "target", "verdict")]
    for line in lines:
        numbers = (line.ours, line.bare, line.ratio, line.must, line.target)
        ours, bare, ratio, must, target = ("" if number is None else f"{number:,.2f}" for number in numbers)
        rows.append((line.case, f"{line.figure} ({line.unit})", ours, bare, ratio, must, target, line.verdict))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(_row(row, widths) for row in rows)


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [
        cell.rjust(width) if 2 <= place < 7 else cell.ljust(width)
        for place, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()
