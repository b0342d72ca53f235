"""The backend espeak against a program that stands in for espeak-ng, and against the real one where it is installed."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from backends import Setup
from backends.errors import BackendError, EngineFailed, EngineTimeout, Refused
from backends.espeak import Espeak, program
from backends.espeak.table import voices
from backends.events import Event, Sound, Usage
from backends.requests import SpeechRequest
from tests.backends.espeak.calls import calls, installed
from tests.backends.espeak.standin import TABLE

REAL = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")


@pytest.fixture
def standin(tmp_path: Path) -> Path:
    return installed(tmp_path)


def backend(program: Path | str, **options: str) -> Espeak:
    return Espeak(Setup(name="m", options={"program": str(program), **options}))


def speak(espeak: Espeak, text: str, voice: str | None = None, speed: float = 1.0) -> list[Event]:
    async def all_of_it() -> list[Event]:
        await espeak.start()
        return [event async for event in espeak.run(SpeechRequest(model="m", text=text, voice=voice, speed=speed))]

    return asyncio.run(all_of_it())


def seconds(events: list[Event]) -> float:
    return sum(len(event.data) / 2 / event.rate for event in events if isinstance(event, Sound))


def gone(pid: int) -> bool:
    """Whether the process ends within two seconds."""
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_a_sentence_is_a_sound_and_the_usage_counts(standin: Path) -> None:
    *sounds, usage = speak(backend(standin), "One is said. Then two is said.")
    assert [call["text"] for call in calls(standin)] == ["One is said.", "Then two is said."]
    assert [type(sound) for sound in sounds] == [Sound, Sound]
    assert all(isinstance(sound, Sound) and sound.ends and sound.rate == 22050 for sound in sounds)
    assert usage == Usage(prompt=30, seconds=seconds(sounds))


def test_voices_are_named_by_language_and_the_default_comes_first(standin: Path) -> None:
    espeak = backend(standin)
    speak(espeak, "Hello.", voice="cmn-latn")
    assert [voice.name for voice in espeak.model.voices] == ["en-us", "af", "cmn", "cmn-latn"]
    assert espeak.model.voices[0].description == "English (America)"
    assert espeak.model.voices[2].languages == ("zh",)
    assert calls(standin)[0]["arguments"][:4] == ["-b", "1", "-v", "sit/cmn-Latn"]
    assert "--compile=odd" not in voices(TABLE, "en-us")


def test_another_voice_is_refused_with_the_list(standin: Path) -> None:
    with pytest.raises(Refused, match="known are en-us, af") as refused:
        speak(backend(standin), "Hello.", voice="-w/tmp/x")
    assert refused.value.param == "voice"
    assert calls(standin) == []


@pytest.mark.parametrize("speed", [0.25, 0.5, 1.5, 2.0, 4.0])
def test_speed_shortens_in_proportion(standin: Path, speed: float) -> None:
    plain = seconds(speak(backend(standin), "A sentence that is long enough to be measured."))
    faster = seconds(speak(backend(standin), "A sentence that is long enough to be measured.", speed=speed))
    assert faster * speed == pytest.approx(plain, rel=0.06)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("-w /tmp/owned --version", "-w /tmp/owned --version"),
        ("say [[h@lou]] and [[[x]]]", "say [ [h@lou]] and [ [ [x]]]"),
        ("a\x01100P b\x00c", "a 100P b c"),
        ("<speak><break time='9s'/>x</speak>", "<speak><break time='9s'/>x</speak>"),
        ("half \ud800 sign", "half   sign"),
    ],
)
def test_what_a_client_writes_is_only_ever_text(standin: Path, text: str, read: str) -> None:
    speak(backend(standin), text)
    [call] = calls(standin)
    assert call["arguments"] == ["-b", "1", "-v", "gmw/en-US", "-s", "175", "--stdout", "--stdin"]
    assert call["text"] == read


@pytest.mark.parametrize("text", ["", "  \n", "...", "!? -"])
def test_nothing_to_say_is_refused(standin: Path, text: str) -> None:
    with pytest.raises(Refused, match=r"^input holds nothing"):
        speak(backend(standin), text)


@pytest.mark.parametrize("text", ["crash", "garbage"])
def test_a_program_that_breaks_is_an_engine_that_failed(standin: Path, text: str) -> None:
    with pytest.raises(EngineFailed):
        speak(backend(standin), text)


def test_a_program_that_hangs_is_killed(standin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    espeak = backend(standin)
    asyncio.run(espeak.start())
    monkeypatch.setattr(program, "PATIENCE", 2.0)
    with pytest.raises(EngineTimeout):
        speak(espeak, "hang")
    assert gone(calls(standin)[0]["pid"])


def test_a_canceled_request_kills_its_program(standin: Path) -> None:
    async def leave() -> None:
        espeak = backend(standin)
        await espeak.start()
        events: AsyncGenerator[Event] = espeak.run(SpeechRequest(model="m", text="hang"))
        waiting = asyncio.create_task(anext(events))
        while not calls(standin):
            await asyncio.sleep(0.02)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(leave())
    assert gone(calls(standin)[0]["pid"])


def test_a_program_that_is_not_there_is_told_of() -> None:
    setup = Setup(name="m", options={"program": "no-such-espeak"})
    [lack] = Espeak.lacking(setup)
    assert lack.path == ("options", "program")
    assert "apt install espeak-ng" in lack.problem
    with pytest.raises(BackendError, match="the program no-such-espeak is not there"):
        asyncio.run(Espeak(setup).start())


def test_a_default_voice_that_it_has_not_is_told_of(standin: Path) -> None:
    espeak = backend(standin, voice="tlh")
    with pytest.raises(BackendError, match="has no voice tlh"):
        asyncio.run(espeak.start())
    assert espeak.state.name == "failed"


@REAL
@pytest.mark.parametrize(("voice", "text"), [("en-us", "Hello there."), ("de", "Guten Tag."), ("cmn", "你好世界")])
def test_the_real_one_speaks_many_languages(voice: str, text: str) -> None:
    espeak = backend("espeak-ng")
    events = speak(espeak, text, voice=voice)
    assert seconds(events) > 0.4
    assert len(espeak.model.voices) > 50


@REAL
def test_the_real_one_takes_brackets_for_text() -> None:
    assert seconds(speak(backend("espeak-ng"), "[[h]]")) != seconds(speak(backend("espeak-ng"), "h"))
