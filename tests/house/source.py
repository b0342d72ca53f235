"""The project's own Python files, parsed."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("openai_proxy", "backends", "audio", "vision")
FOLDERS = (*PACKAGES, "tests", "scripts")


def files(*folders: str) -> list[Path]:
    """Python files in these folders (all when none is named), relative to the root."""
    found = (path for folder in folders or FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return sorted(path.relative_to(ROOT) for path in found)


def nodes(path: Path) -> Iterator[ast.AST]:
    """Every node of a file's syntax tree."""
    return ast.walk(ast.parse((ROOT / path).read_text()))


def tracked() -> list[Path]:
    """What git knows, relative to the root; empty outside of a checkout."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    return [Path(name) for name in listed.stdout.decode().split("\0") if name]
