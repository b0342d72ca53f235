"""What commands print for people and for scripts: tables and JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import msgspec

from openai_proxy.cli.plain import one_line


def print_json(value: object) -> None:
    print(msgspec.json.format(msgspec.json.encode(value)).decode())


def print_table(rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as their longest entry at a terminal; elsewhere tabs, for scripts."""
    safe = [[one_line(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for row in safe:
            print("\t".join(row).rstrip())
        return
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    for row in safe:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
