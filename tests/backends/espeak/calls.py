"""The stand-in as a program, and what it was asked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

STANDIN = Path(__file__).with_name("standin.py")


def installed(folder: Path) -> Path:
    """A program that behaves as espeak-ng does."""
    program = folder / "espeak-ng.py"
    program.write_text(f"#!{sys.executable} -I\n{STANDIN.read_text()}")
    program.chmod(0o755)
    return program


def calls(program: Path) -> list[dict[str, Any]]:
    """How it was called so far."""
    record = program.with_suffix(".calls")
    return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []
