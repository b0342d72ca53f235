"""The stream of a session's messages, as long as there is something to say."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator
from typing import Any

from openai_proxy.dialects.gradio.sessions import Messages, Place, Session, Sessions

# Seconds: how often a stream looks whether the server is about to end; how soon it asks the other processes again, and
# how late where they have nothing to say.
LOOK, ASK, SELDOM = 1.0, 0.1, 0.5
HEARTBEAT, CLOSE = {"msg": "heartbeat"}, {"msg": "close_stream", "event_id": None}


async def told(
    sessions: Sessions, place: Place, linger: float, *, together: bool
) -> AsyncGenerator[dict[str, Any], None]:
    """All messages of a session: of its events, and heartbeats. `together`: there are other processes.

    It ends when there was no event for `linger` seconds, after the message that says so.
    """
    stream = object()
    session, others = sessions.open(place, stream), Others(sessions, place) if together else None
    said = busy = time.monotonic()
    try:
        yield HEARTBEAT  # the client gets its status line
        while session.stream is stream:
            session.changed.clear()
            news = [] if others is None else await others.news()
            for message in (*session.news(), *news):
                said = time.monotonic()
                yield message
            now = time.monotonic()
            if session.events or (others is not None and others.events):
                busy = now
            elif sessions.leaving() or (now >= busy + linger and not await sessions.has_elsewhere(place)):
                yield CLOSE
                return
            if now >= said + sessions.config().timeouts.ping:
                said = now
                yield HEARTBEAT
            until = min(busy + linger, said + sessions.config().timeouts.ping) - now
            await _change(session, min(LOOK if others is None else ASK, max(until, ASK)))
    finally:
        sessions.close(place, stream)
        if others is not None:
            others.leave()


class Others:
    """The other processes' part of a session. `events` is how many they had when they were asked last."""

    def __init__(self, sessions: Sessions, place: Place) -> None:
        self.sessions = sessions
        self.place = place
        self.events = 0
        self._stream = str(uuid.uuid4())
        self._heard: set[str] = set()
        self._due = 0.0
        self._pause = ASK

    def leave(self) -> None:
        """Tell those that have something to say that nobody hears it here any more."""
        if self.events or self._heard:
            self.sessions.left_elsewhere(self.place, self._stream)

    async def news(self) -> Messages:
        """What they have to say, if it is time to ask."""
        if time.monotonic() < self._due:
            return []
        news, self.events = await self.sessions.news_elsewhere(self.place, self._stream, self._heard)
        self._pause = ASK if news else min(2 * self._pause, SELDOM)
        self._due = time.monotonic() + self._pause
        return news


async def _change(session: Session, most: float) -> None:
    """Wait until there may be something to say, at most so many seconds. Outputs that change all the time are told only
    now and then.
    """
    wait = session.wait()
    if wait is not None:
        await asyncio.sleep(min(wait, most))
        return
    try:
        async with asyncio.timeout(most):
            await session.changed.wait()
    except TimeoutError:
        return
