"""Files and functions stay small and plainly named, and nothing is swallowed or unbounded."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

from tests.house.source import PACKAGES, ROOT, files, nodes

LINES, FUNCTION = 400, 60
FORBIDDEN = {"utils", "common", "misc", "base", "manager", "helper", "helpers", "service", "handler", "core"}
UNFINISHED = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X]|NotImplemented[E]rror)\b")


def test_imports_go_down() -> None:
    linter = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-logo"], cwd=ROOT, capture_output=True, text=True
    )
    assert linter.returncode == 0, linter.stdout


def test_no_file_is_long() -> None:
    lengths = {str(path): (ROOT / path).read_text().count("\n") for path in files()}
    assert {path: lines for path, lines in lengths.items() if lines > LINES} == {}


def test_no_function_is_long() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path in files()
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION
    ]
    assert long == []


def test_names_say_something() -> None:
    """No file or class is named by a word that says nothing of what it is."""
    named = [(path, path.stem) for path in files(*PACKAGES)]
    named += [(path, node.name) for path in files(*PACKAGES) for node in nodes(path) if isinstance(node, ast.ClassDef)]
    words = [(path, name, set(re.findall(r"[A-Z]?[a-z]+", name))) for path, name in named]
    vague = [f"{path}: {name}" for path, name, parts in words if {part.lower() for part in parts} & FORBIDDEN]
    assert [each for each in vague if not each.endswith(": LineHandler")] == []  # the standard library's word


def test_no_exception_is_swallowed() -> None:
    """Whoever catches everything does something about it: logs it, answers it or raises."""
    broad = {"Exception", "BaseException"}
    silent = [
        f"{path}:{node.lineno}"
        for path in files()
        for node in nodes(path)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or (isinstance(node.type, ast.Name) and node.type.id in broad))
        and all(isinstance(step, ast.Pass | ast.Continue) for step in node.body)
    ]
    assert silent == []


def test_every_queue_is_bounded() -> None:
    unbounded = [
        f"{path}:{node.lineno}"
        for path in files(*PACKAGES)
        for node in nodes(path)
        if isinstance(node, ast.Call)
        and not node.args
        and not node.keywords
        and ast.unparse(node.func).endswith("Queue")
    ]
    assert unbounded == []


def test_nothing_is_unfinished() -> None:
    assert [str(path) for path in files() if UNFINISHED.search((ROOT / path).read_text())] == []
