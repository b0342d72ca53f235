"""The real voices."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator

import pytest

from backends import Backend, Setup, resolve
from backends.errors import Refused
from backends.events import Event, Sound, Usage
from backends.speaking.english import FIRST, LONGEST, English
from tests.backends.plans import KOKORO
from tests.backends.speaking.talking import events, seconds

pytestmark = pytest.mark.engine
TEXT = "The quick brown fox jumps over the lazy dog."
LOUD = 3000


class Voiced:
    def __init__(self, runner: asyncio.Runner, backend: Backend) -> None:
        self.runner = runner
        self.backend = backend

    def say(self, text: str, voice: str | None = None, speed: float = 1.0) -> list[Event]:
        return self.runner.run(events(self.backend, text, voice, speed))


@pytest.fixture(scope="module", params=["hibari", pytest.param("kokoro", marks=KOKORO)])
def voiced(request: pytest.FixtureRequest) -> Iterator[Voiced]:
    with asyncio.Runner() as runner:
        backend = resolve(request.param)(Setup(name="m"))
        runner.run(backend.start())
        yield Voiced(runner, backend)
        runner.run(backend.close())


@pytest.fixture(scope="module")
def english() -> English:
    return English()


def sounds(found: list[Event]) -> list[Sound]:
    return [event for event in found if isinstance(event, Sound)]


def samples(sound: Sound) -> list[int]:
    return list(memoryview(sound.data).cast("h"))


def test_a_sentence_sounds(voiced: Voiced) -> None:
    found = voiced.say(TEXT)
    [sound] = sounds(found)
    assert sound.rate == 24_000
    assert max(samples(sound)) > LOUD
    assert 2 < seconds(found) < 6
    assert found[-1] == Usage(prompt=len(TEXT), seconds=seconds(found))


def test_nothing_clicks_where_sentences_join(voiced: Voiced) -> None:
    for sound in sounds(voiced.say("One is here. Two is there! And three?")):
        heard = samples(sound)
        assert max(map(abs, (*heard[:24], *heard[-24:]))) < 500


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.75, 1.25, 1.5, 2.0, 3.0, 4.0])
def test_speed_shortens_in_proportion(voiced: Voiced, speed: float) -> None:
    plain, faster = seconds(voiced.say(TEXT)), seconds(voiced.say(TEXT, speed=speed))
    assert faster * speed == pytest.approx(plain, rel=0.15)


def test_the_same_text_sounds_the_same(voiced: Voiced) -> None:
    assert sounds(voiced.say("Hello.")) == sounds(voiced.say("Hello."))


def test_every_voice_is_another(voiced: Voiced) -> None:
    said = {sounds(voiced.say("Hello.", voice.name))[0].data for voice in voiced.backend.model.voices}
    assert len(said) == len(voiced.backend.model.voices)


@pytest.mark.parametrize("name", ["emma", "fenrir", "alloy", "../heart", ""])
def test_voices_that_are_not_there_are_refused(voiced: Voiced, name: str) -> None:
    with pytest.raises(Refused) as refused:
        voiced.say(TEXT, name)
    assert refused.value.param == "voice"
    assert voiced.backend.model.voices[0].name in str(refused.value)


@pytest.mark.parametrize("text", ["", " \n", "😀🎉", "你好世界", "Привет", "... !? —", "\u200b", "[", "*"])
def test_what_cannot_be_read_is_refused(voiced: Voiced, text: str) -> None:
    with pytest.raises(Refused) as refused:
        voiced.say(text)
    assert refused.value.param == "input"


def test_of_mixed_text_what_can_be_read_is_said(voiced: Voiced) -> None:
    assert sounds(voiced.say("Hello 你好 😀 world.")) == sounds(voiced.say("Hello world."))
    assert len(sounds(voiced.say("你好。 Hello. 😀. Bye."))) == 2


@pytest.mark.parametrize(
    "unit", ["1", "9.", "1,", "a/", "A1", "+", "%", "[", "(", "'", "-", "@x.", "$1", "word ", "é1"]
)
def test_odd_text_is_said_or_refused_soon_and_never_breaks(english: English, unit: str) -> None:
    began, longest = time.perf_counter(), 0
    for phrase in itertools.islice(english.phrases((unit * 2000)[:2000]), 4):
        longest = max(longest, len(phrase.phonemes))
    assert longest <= LONGEST
    # Some milliseconds a phrase on an idle machine; unbounded it took minutes.
    assert time.perf_counter() - began < 20


def test_a_long_sentence_begins_soon_and_goes_on_in_parts(english: English) -> None:
    phrases = list(english.phrases("this goes on and on, without an end in sight, " * 30))
    assert len(phrases) > 4
    assert len(phrases[0].phonemes) <= FIRST * 1.5
    assert all(len(phrase.phonemes) <= LONGEST for phrase in phrases)
    assert phrases[-1].ends
