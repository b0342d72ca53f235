from __future__ import annotations

import sys

import pytest

from audio import claimed_seconds
from tests.sounds import encoded, tone


@pytest.mark.parametrize(("container", "codec"), [("mp3", "libmp3lame"), ("flac", "flac"), ("ogg", "libopus")])
def test_the_length_by_the_head(container: str, codec: str) -> None:
    assert claimed_seconds(tone(2.0)) == pytest.approx(2.0)
    assert claimed_seconds(encoded(tone(2.0), container, codec)) == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("data", [b"", b"text", b"fLaC" + bytes(50), b"RIFF\xff\xff\xff\xffWAVE"])
def test_what_tells_nothing(data: bytes) -> None:
    assert claimed_seconds(data) == 0.0


def test_without_the_package_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    assert claimed_seconds(tone(2.0)) == 0.0
