"""What a clone and a wheel hold."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.house.source import PACKAGES, ROOT, files, tracked

TOP = {
    *(".ci", ".gitignore", "LICENSE", "README.md", "pyproject.toml", "requirements.lock", "requirements-dev.lock"),
    *PACKAGES,
    *("tests", "scripts"),
}
SCRIPTS = {
    *("install", "serve", "test", "check", "lint", "lock", "coverage", "gpu_check", "bench", "make_checkpoints"),
    "train_images",
}
LOCKS = ("requirements.lock", "requirements-dev.lock")


def pins(lock: str) -> dict[str, list[str]]:
    """Every pinned requirement of a lock file and its hashes."""
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    return {line.partition("--hash")[0].strip(): re.findall(r"--hash=(\S+)", line) for line in text.splitlines()}


def test_the_top_level_holds_what_it_should() -> None:
    found = {path.parts[0] for path in tracked()}
    if not found:
        pytest.skip("not a git checkout")
    assert found == TOP


def test_scripts_can_be_run() -> None:
    programs = [*(ROOT / "scripts" / name for name in sorted(SCRIPTS)), ROOT / ".ci" / "run"]
    assert [str(path) for path in programs if not os.access(path, os.X_OK)] == []
    assert {path.name for path in (ROOT / "scripts").iterdir() if path.is_file()} == SCRIPTS


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_pin_by_hash_and_name_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text()
    assert not re.search(r"https?:|file:|index|find-links|/", text)
    for requirement, hashes in pins(lock).items():
        assert re.match(r"[\w.-]+==[\w.]+( ;.*)?$", requirement), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", each) for each in hashes), requirement


def test_the_locks_agree_and_hold_what_is_declared() -> None:
    run, dev = (set(pins(lock)) for lock in LOCKS)
    assert run <= dev
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras, groups = declared["project"]["optional-dependencies"], declared["dependency-groups"]
    wanted = [*declared["project"]["dependencies"], *extras["embedded"], *groups["build"]]
    assert names(wanted) <= names(run)
    assert names(groups["dev"]) <= names(dev)


def names(requirements: list[str] | set[str]) -> set[str]:
    found = (re.match(r"[\w.-]+", each) for each in requirements)
    return {each[0].lower().replace("_", "-").replace(".", "-") for each in found if each}


def test_the_version_stands_in_one_place() -> None:
    assert "version" in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dynamic"]
    holders = [str(path) for path in files(*PACKAGES) if "__version__ = " in (ROOT / path).read_text()]
    assert holders == ["openai_proxy/__init__.py"]


def test_the_wheel_holds_exactly_the_four_packages(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir"]
    subprocess.run([*build, tmp_path, ROOT], check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {Path(name) for name in archive.namelist()}
    code = {path for path in inside if not path.parts[0].endswith(".dist-info")}
    assert {path.parts[0] for path in code} == set(PACKAGES)
    assert {path for path in code if path.suffix == ".py"} == set(files(*PACKAGES))
    assert any(path.name == "LICENSE" for path in inside)
