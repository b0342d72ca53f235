"""Lines of words -> rows as they are read: what stands side by side, as in a table, is one row."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from backends.looking.shapes import Line

# Words further from one another than their height are cells of a table.
APART = "  "


def rows(lines: Sequence[Line], width: int, height: int) -> list[str]:
    """The rows from the top to the bottom; `width` and `height` are the upright picture's, in pixels."""
    found: list[list[Line]] = []
    for line in sorted(lines, key=_middle):
        row = next((row for row in reversed(found[-3:]) if _beside(line, row)), None)
        if row is None:
            found.append([line])
        else:
            row.append(line)
    return [_joined(sorted(row, key=lambda line: line.left), width / height) for row in found]


def place(lines: Sequence[Line]) -> str:
    """Where in the picture the words stand."""
    top, bottom = min(line.top for line in lines), max(line.bottom for line in lines)
    left, right = min(line.left for line in lines), max(line.right for line in lines)
    named = (_third(top, bottom, ("at the top", "at the bottom")), _third(left, right, ("left", "right")))
    said = " ".join(filter(None, named))
    return {"": "all over it", "left": "on the left", "right": "on the right"}.get(said, said)


def _third(begin: float, end: float, names: tuple[str, str]) -> str:
    return names[0] if end < 0.55 else names[1] if begin > 0.45 else ""


def _middle(line: Line) -> float:
    return (line.top + line.bottom) / 2


def _beside(line: Line, row: Sequence[Line]) -> bool:
    """Whether a line is level with the one of a row that is nearest to it, and not above or below another one."""
    nearest = min(row, key=lambda other: max(other.left - line.right, line.left - other.right))
    size = min(line.bottom - line.top, nearest.bottom - nearest.top)
    overlap = min(line.right, nearest.right) - max(line.left, nearest.left)
    level = abs(_middle(line) - _middle(nearest)) < size / 2
    return level and overlap < 0.5 * min(line.right - line.left, nearest.right - nearest.left)


def _joined(row: Sequence[Line], shape: float) -> str:
    text = row[0].text
    for before, line in itertools.pairwise(row):
        wide = (line.left - before.right) * shape > (line.bottom - line.top)
        text += (APART if wide else " ") + line.text
    return text
