"""The real client, as it is used."""

from __future__ import annotations

from pathlib import Path

from tests.dialects.predictions.calls import ALIAS, BARE
from tests.dialects.predictions.conftest import Script
from tests.dialects.predictions.test_references import ECHO
from tests.pictures import picture
from tests.sounds import tone


def test_texts(script: Script) -> None:
    owner_name, _, aliased = ALIAS.partition(":")
    words = ["one", " two", " three"]
    told = script("texts", ALIAS, ECHO)
    assert told["run"] == told["run_version"] == told["run_at_once"] == words
    assert told["run_alias"] == ["one"]
    assert (told["run_slow"], told["run_polled"], told["run_unwaited"]) == (40, 40, 40)
    assert told["stream"] == ["one", "\ntwo", " three", ""]
    assert (told["stream_version"], told["lines"]) == ("one two", "a\nb\nc\nd\ne f")
    assert told["model_error"] == ["failed", True, ["one", " two"]]
    assert told["stream_error"] == ["detail"]
    assert told["unknown_model"] == [404, "Not Found", "There is no such model."]
    assert told["invalid"] == [422, "Input validation failed"]
    assert told["webhook"] == 422
    assert told["created"] == ["succeeded", ["a", " b"], "local/echo", {"prompt": "a b"}, 2]
    assert (told["got"], told["replayed"]) == (["a", " b"], "a b")
    assert (told["canceled"], told["reloaded"]) == ("canceled", ["canceled", True])
    assert told["listed"] == [True, None]
    assert told["models"] == ["local/echo", owner_name, "org/slow", "org/family--one", "local/broken", "local/shouting"]
    assert BARE not in told["models"]
    assert (told["model"], told["version"], told["account"]) == ([owner_name, aliased, 1], ECHO, "anonymous")
    assert told["async"] == [["one", " two"], ["one", " two", ""]]


def test_media(script: Script, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(picture(size=(64, 64)))
    (tmp_path / "a.wav").write_bytes(tone(0.3))
    told = script("media", str(tmp_path / "a.png"), str(tmp_path / "a.wav"))
    assert told["drawn"] == [["FileOutput", "89504e47"]] * 2
    assert told["changed"] == "89504e47"
    assert told["seen"] == "image 64x64 a"
    assert told["progress"] == [1.0, 100, 100]
    assert (told["said"], told["heard"]) == ("RIFF", ["language", "segments", "text"])
    assert told["vectors"] == [16, 16]
    assert told["file"] == ["a.txt", 3, "text/plain", {"a": 1}, True]
    assert (told["files"], told["deleted"]) == (True, True)
