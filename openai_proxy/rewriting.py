"""Files of secrets: replaced in one step, readable by their owner only."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path


def rewrite(path: Path, lines: Iterable[str]) -> None:
    """Replace the file, or make it; a reader sees the old one or the new one. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.writelines(line if line.endswith("\n") else line + "\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def exposed(path: Path) -> bool:
    """Whether others than its owner may read the file. Raises OSError."""
    return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
