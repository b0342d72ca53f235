"""Real clients in environments of their own: they exclude one another."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest


def python_of(client: str) -> Path:
    """The interpreter of the environment of a client, such as "replicate==1.0.7", which is made once."""
    folder = platformdirs.user_cache_path("openai-proxy") / "test-clients" / client.replace("==", "-")
    python, done = folder / "bin" / "python", folder / "done"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests may run in several processes
        if not done.exists():
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
            words = [str(python), "-m", "pip", "install", "--quiet", client]
            made = subprocess.run(words, capture_output=True, text=True, check=False)
            if made.returncode:
                pytest.skip(f"{client} cannot be installed: {made.stderr[-300:]}")
            done.touch()
    return python
