"""The embedded voice and the embedded ears over HTTP, each beside its library called directly, in turns."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import hearing
import speaking
from figures import table
from msgspec import to_builtins

PARTS = ("speech", "transcription")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("part", nargs="?", choices=PARTS, help="what to measure; both if absent")
    parser.add_argument("--rounds", type=int, metavar="N", help="15 of speech and 5 of transcription if absent")
    parser.add_argument("--sound", type=Path, metavar="FILE", help="a WAV file to transcribe; if absent one is fetched")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def main(arguments: argparse.Namespace) -> int:
    """Measure and print; 1 when a figure is not what it must be."""
    parts = [arguments.part] if arguments.part else PARTS
    lines = speaking.lines(arguments.rounds or 15) if "speech" in parts else []
    if "transcription" in parts:
        lines += hearing.lines(arguments.rounds or 5, arguments.sound)
    print(json.dumps(to_builtins(lines), indent=1) if arguments.json else table(lines), flush=True)
    failed = [line for line in lines if line.verdict == "FAIL"]
    for line in failed:
        print(f"{line.case}: {line.figure} is {line.ours:.2f} {line.unit}", file=sys.stderr)
    return int(bool(failed))
