"""What the embedded voice says, the embedded ears write down."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from audio import Clip, wav
from backends import BACKENDS, Setup, resolve
from backends.events import Sound
from backends.requests import SpeechRequest
from tests.backends.faster_whisper.conftest import Running, heard
from tests.recordings import word_errors
from tests.spelling import spoken

VOICE = "hibari"
MOST_ERRORS = 0.1
SENTENCES = """
Maria Schneider was born on March 3rd, 1984.
The train to Boston leaves at 7:45 in the morning.
Please send 250 copies to Doctor Anderson before Friday.
Our office is closed on December 25th and January 1st.
The temperature in Chicago fell to 12 degrees last night.
Robert paid $30 for three tickets to the museum.
In 2019 the company had 48 employees in London.
George Washington was the first president of the United States.
The meeting with Thomas Miller was moved to Tuesday, June 14th.
Chapter 17 begins on page 312.
About 65% of the voters said yes.
Flight 208 to Paris departs from gate 11.
Emily Johnson ran ten miles in 92 minutes.
The recipe needs 2 cups of flour and 3 eggs.
Call Peter Jackson at 9:30 on Monday.
The bridge is 1,500 feet long and 80 feet wide.
On July 20th, 1969, Neil Armstrong walked on the moon.
There are 24 hours in a day and 365 days in a year.
Alice and Benjamin moved to New York in October.
The library opens at 10:00 and closes at 6:00.
""".strip().splitlines()


@pytest.mark.engine
@pytest.mark.skipif(VOICE not in BACKENDS, reason="there is no backend that speaks")
def test_twenty_sentences_with_numbers_names_and_dates(ears: Running, capsys: pytest.CaptureFixture[str]) -> None:
    said, wrong, worst = 0, 0.0, []
    for sentence, sound in zip(SENTENCES, asyncio.run(speak(SENTENCES)), strict=True):
        text = ears.text(heard(sound, language="en"))
        count = len(spoken(sentence).split())
        rate = word_errors(spoken(sentence), spoken(text))
        said, wrong = said + count, wrong + rate * count
        worst += [f"{rate:5.0%}  {sentence} -> {text}"] if rate else []
    with capsys.disabled():
        print(f"\nround trip of {len(SENTENCES)} sentences: word error rate {wrong / said:.1%}", *worst, sep="\n")
    assert wrong / said <= MOST_ERRORS


async def speak(sentences: list[str]) -> list[bytes]:
    """Each as a WAV file."""
    backend: Any = resolve(VOICE)(Setup(name="voice"))
    await backend.start()
    made = []
    for sentence in sentences:
        events = [event async for event in backend.run(SpeechRequest(model="voice", text=sentence))]
        sounds = [event for event in events if isinstance(event, Sound)]
        made.append(wav(Clip(b"".join(sound.data for sound in sounds), sounds[0].rate)))
    await backend.close()
    return made


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("March 3rd, 1984.", "march third nineteen eighty four"),
        ("March 3, 2005", "march third two thousand five"),
        ("In 1905 and 1900", "in nineteen oh five nineteen hundred"),
        ("$30 and 12.5%", "thirty dollars twelve point five percent"),
        ("7:45 or 10:00", "seven forty five or ten oclock"),
        ("1,500 feet, 312 pages", "one thousand five hundred feet three hundred twelve pages"),
        ("Dr. Miller's 21st, 30th and 12th", "doctor miller's twenty first thirtieth twelfth"),
        ("forty-two", "forty two"),
    ],
)
def test_what_counts_as_the_same_words(text: str, plain: str) -> None:
    assert spoken(text) == plain


def test_how_errors_are_counted() -> None:
    assert word_errors("one two three four", "One, two; three - four!") == 0
    assert word_errors("one two three four", "one too three") == 0.5
    assert word_errors("one two", "one two three") == 0.5
