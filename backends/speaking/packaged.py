"""Weights that lie in installed packages: found without importing those, and checked against what was pinned."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from backends.errors import LoadFailed


def folder(package: str, extra: str) -> Path:
    """Where the package is installed. Raises LoadFailed, which names the `extra` of ours that brings it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise LoadFailed(f"The package {package} is not installed: pip install 'openai-proxy[{extra}]'")
    return Path(spec.submodule_search_locations[0])


def pinned(files: Iterable[Path], sha256: str) -> bytes:
    """The content of the files, one after the other. Raises LoadFailed if it is not what was pinned."""
    paths = list(files)
    try:
        content = b"".join(path.read_bytes() for path in paths)
    except OSError as error:
        raise LoadFailed(f"{paths[0].name} of the package {paths[0].parts[-2]} cannot be read: {error}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise LoadFailed(f"{paths[0].name} is not the file that was pinned (its SHA-256 is different).")
    return content
