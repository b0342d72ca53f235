"""How fast a model speaks: until its first sound, and beside the time that the sound takes to be heard."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing

import audio
from backends.events import Event, Relayed, Sound
from openai_proxy.served import Counted


async def paced(events: AsyncGenerator[Event], counted: Counted) -> AsyncGenerator[Event, None]:
    """The same events of an engine that has just been asked. What their taker takes its time for is not counted.

    How long a sound is that another server encoded is not known here: of it only the first piece is counted.
    """
    spent = seconds = 0.0
    heard = False
    since = time.monotonic()
    async with aclosing(events):
        async for event in events:
            spent += time.monotonic() - since
            if type(event) is Sound and event.data:
                seconds += len(event.data) / audio.WIDTH / event.rate
            if not heard and (seconds or type(event) is Relayed):
                heard = True
                counted.first_audio_seconds.observe(spent)
            yield event
            since = time.monotonic()
    if seconds:
        counted.audio_seconds.inc(seconds)
        counted.real_time_factor.observe(spent / seconds)
