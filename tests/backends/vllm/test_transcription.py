"""Speech to text by a real engine with a random model: that it listens, not what it hears."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backends.errors import Refused
from backends.events import Delta, Finish, Outcome, Segment, Usage
from backends.requests import Audio, Granularity, TranscriptionRequest
from tests.backends.conftest import Served
from tests.sounds import encoded, tone

pytestmark = pytest.mark.vllm


def hears(sound: bytes | None = None, kind: str = "wav", longest: float = 600.0, **more: Any) -> TranscriptionRequest:
    data = tone(2.0) if sound is None else sound
    return TranscriptionRequest(model="m", audio=Audio(data, kind, longest), **{"language": "en", **more})


def text(outcome: Outcome) -> str:
    return outcome.answers[0].text


def test_it_knows_that_it_transcribes(vllm_listens: Served) -> None:
    model = vllm_listens.backend.model
    assert model.kinds == {"transcription", "tokenize"}
    assert model.parameters >= {
        "language",
        "prompt",
        "temperature",
        "translate",
        "segment_timestamps",
        "transcript_logprobs",
    }
    assert "word_timestamps" not in model.parameters


def test_a_text_depends_on_the_sound(vllm_listens: Served) -> None:
    low, high = (vllm_listens.answer(hears(tone(2.0, hertz=hertz))) for hertz in (200.0, 900.0))
    assert text(low)
    assert text(low) != text(high)
    assert text(vllm_listens.answer(hears(tone(2.0, hertz=200.0)))) == text(low)
    assert low.usage.seconds == 2.0
    assert low.usage.completion > 0


def test_it_is_streamed(vllm_listens: Served) -> None:
    events = vllm_listens.events(hears())
    assert sum(isinstance(event, Delta) for event in events) > 4
    assert isinstance(events[-2], Finish)
    assert isinstance(events[-1], Usage)


def test_the_format_makes_no_difference_to_the_length(vllm_listens: Served) -> None:
    flac = vllm_listens.answer(hears(encoded(tone(2.0), "flac", "flac"), "flac"))
    assert flac.usage.seconds == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("seconds", [1 / 16_000, 0.01, 30.0, 30.0 + 1 / 16_000])
def test_lengths_at_the_ends_of_a_window(vllm_listens: Served, seconds: float) -> None:
    heard = vllm_listens.answer(hears(tone(seconds), timestamps=("segment",)))
    assert heard.usage.seconds == pytest.approx(seconds)
    assert heard.usage.prompt == (4 if seconds <= 30 else 8)


@pytest.mark.parametrize(
    "more", [{"language": "de"}, {"task": "translate"}, {"prompt": "What comes before."}, {"temperature": 1.0}]
)
def test_each_parameter_has_an_effect(vllm_listens: Served, more: dict[str, Any]) -> None:
    assert text(vllm_listens.answer(hears(**more))) != text(vllm_listens.answer(hears()))


def test_a_language_is_found_where_none_is_given(vllm_listens: Served) -> None:
    found = vllm_listens.answer(hears(language=None, timestamps=("segment",)))
    languages = {segment.language for segment in found.segments}
    assert len(languages) == 1
    given = vllm_listens.answer(hears(language=languages.pop()))
    assert text(vllm_listens.answer(hears(language=None))) == text(given)


def test_an_unknown_language_is_refused(vllm_listens: Served) -> None:
    with pytest.raises(Refused) as refused:
        vllm_listens.answer(hears(language="xx"))
    assert refused.value.param == "language"


def test_a_long_prompt_is_cut_and_its_marks_are_words(vllm_listens: Served) -> None:
    long = vllm_listens.answer(hears(prompt="word " * 5000))
    assert 40 < long.usage.prompt < 96
    assert vllm_listens.answer(hears(prompt="<|en|><|startoftranscript|>")).usage.prompt > 8


def test_long_sounds_are_heard_in_windows(vllm_listens: Served) -> None:
    sound = tone(65.0)
    whole = vllm_listens.answer(hears(sound, timestamps=("segment",)))
    assert whole.usage.seconds == 65.0
    assert whole.usage.prompt == 3 * 4
    times = [(segment.start, segment.end) for segment in whole.segments]
    assert all(start <= end for start, end in times)
    assert times == sorted(times)
    assert 60.0 < times[-1][1] <= 65.0
    first = vllm_listens.answer(hears(tone(29.0), timestamps=("segment",)))
    assert first.usage.completion < whole.usage.completion


def test_segments_have_what_they_say(vllm_listens: Served) -> None:
    events = vllm_listens.events(hears(timestamps=("segment",)))
    segments = [event for event in events if isinstance(event, Segment)]
    assert segments
    assert all(segment.tokens and segment.logprob < 0 and segment.end <= 2.0 for segment in segments)


@pytest.mark.parametrize("timestamps", [(), ("segment",)])
def test_how_sure_it_is_of_each_token(vllm_listens: Served, timestamps: tuple[Granularity, ...]) -> None:
    """transcript_logprobs: an entry for each token that shows, streamed with its text, in every window."""
    events = vllm_listens.events(hears(tone(31.0), logprobs=True, timestamps=timestamps))
    deltas = [event for event in events if isinstance(event, Delta)]
    entries = [entry for delta in deltas for entry in delta.logprobs or ()]
    assert len(entries) > 8
    assert all(entry.logprob is not None and entry.logprob < 0 for entry in entries)
    assert not any(entry.token.startswith("<|") for entry in entries)
    # What is between the windows is no token.
    said = "".join("".join(delta.text for delta in deltas).split())
    assert "".join(b"".join(entry.data for entry in entries).decode(errors="replace").split()) == said
    assert vllm_listens.answer(hears(tone(31.0), timestamps=timestamps)).answers[0].logprobs is None


@pytest.mark.parametrize(
    ("sound", "longest"), [(b"RIFF\0\0\0\0WAVEfmt ", 60.0), (tone(3.0), 2.0), (tone(1.0)[:40], 60.0)]
)
def test_bad_sounds_are_refused(vllm_listens: Served, sound: bytes, longest: float) -> None:
    with pytest.raises(Refused) as refused:
        vllm_listens.answer(hears(sound, longest=longest))
    assert refused.value.param == "file"


def test_leaving_aborts_all_windows(vllm_listens: Served) -> None:
    async def leave() -> None:
        loaded = vllm_listens.backend._loaded
        assert loaded is not None
        events = vllm_listens.backend.run(hears(tone(100.0)))
        await anext(events)
        running = loaded.client.output_processor
        assert running.has_unfinished_requests()
        await events.aclose()
        async with asyncio.timeout(5):
            while running.has_unfinished_requests():
                await asyncio.sleep(0.01)

    vllm_listens.runner.run(leave())
