"""Sessions: the events of one client, which one stream of messages tells of.

A client hands in an event, learns its id, and only then opens the stream if it has none: so events wait for a stream
for a while. It closes the stream when all events that it knows are over: so nothing is said of one whose id it may not
have learned yet. Where several processes serve, the stream may be another one's than the events: it then asks again and
again for what there is to say.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from openai_proxy.config import Config
from openai_proxy.dialects.gradio.events import Event
from openai_proxy.dialects.gradio.messages import Telling
from openai_proxy.errors import QueueFull

# Seconds: until a client surely knows the id of its event; that events wait for their first stream, and for another one
# when that has ended; how often it is looked whose client has left.
KNOWN, KEPT, GRACE, SWEEP = 0.15, 20.0, 1.0, 0.2

# Clients that have a key only in the dict, or none, have this name and the tenth part of all sessions together.
STRANGERS, NOBODY = 10, ""

# Whose a session is, and what its client calls it.
Place: TypeAlias = tuple[str, str]
Messages: TypeAlias = list[dict[str, Any]]


class Question(Struct, frozen=True):
    """What a process asks another one: to say what there is of a session, to cancel an event (all without an `id`), or
    to count them.

    `heard` are the names of the answers that arrived for that `stream`: what was in others is said again.
    """

    what: Literal["news", "cancel", "count"]
    place: Place
    id: str | None = None
    stream: str = ""
    heard: tuple[str, ...] = ()


class News(Struct, frozen=True):
    """Messages of a session, and how many events of it are left. The answer has a name."""

    messages: Messages = []
    events: int = 0
    name: str = ""


class Session:
    """One client's events. `stream` is the one that tells of them now; without one it is over `until` there is one."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.stream: object | None = None
        self.until = time.monotonic() + KEPT
        self.changed = asyncio.Event()
        self._tellings: dict[str, Telling] = {}
        self._sent = News()
        self._sent_to = ""
        self._first: Event | None = None

    def add(self, event: Event) -> None:
        """One event more, for which there may soon be a stream."""
        self.events[event.id] = event
        self.until = time.monotonic() + KEPT
        event.watch(self.changed)
        self.changed.set()

    def news(self) -> Iterator[dict[str, Any]]:
        """What there is to say now. Events of which all was said are forgotten."""
        now = time.monotonic()
        for event in tuple(self.events.values()):
            if event is not self._first and now < event.began + KNOWN:
                continue
            telling = self._tellings.setdefault(event.id, Telling(event))
            yield from telling.news()
            if telling.done:
                self._forget(event)

    def sent(self, stream: str, heard: Collection[str]) -> News:
        """What there is to say elsewhere, and what was said before and did not arrive. A client that has another stream
        has left the former one because it knew all.
        """
        arrived = stream != self._sent_to or self._sent.name in heard
        self._sent_to = stream
        missing = [] if arrived else self._sent.messages
        messages = [*missing, *self.news()]
        self._sent = News(messages, len(self.events), str(uuid.uuid4()) if messages else "")
        return self._sent

    def anew(self) -> None:
        """Another stream: nothing was said on it yet. The oldest event is why it was opened: so its client knows it."""
        self._first = next(iter(self.events.values()), None)
        self._tellings.clear()
        self.changed.set()

    def wait(self) -> float | None:
        """Seconds after which there is more to say though nothing changes; None if there is not."""
        waits = [telling.wait() for telling in self._tellings.values() if telling.behind]
        if len(self._tellings) < len(self.events):
            waits.append(KNOWN)
        return max(min(waits), 0.0) if waits else None

    def cancel(self, id: str | None) -> int:
        """Stop the event of that id, or all; how many were there."""
        found = [event for event in self.events.values() if id in (None, event.id)]
        for event in found:
            event.cancel()
        return len(found)

    def end(self) -> None:
        """Nobody listens any more."""
        self.cancel(None)
        for event in tuple(self.events.values()):
            self._forget(event)

    def _forget(self, event: Event) -> None:
        event.leave(self.changed)
        self.events.pop(event.id, None)
        self._tellings.pop(event.id, None)

    @property
    def left(self) -> bool:
        """Whether nobody has been listening for so long that nobody will."""
        return self.stream is None and (time.monotonic() > self.until or not (self.events or self._sent.messages))

    @property
    def idle(self) -> bool:
        """Whether nobody listens and nothing runs."""
        return self.stream is None and all(event.over for event in self.events.values())


class Sessions:
    """The sessions of this process. `config` is asked each time; `elsewhere` asks the other processes, if there are
    any, and `leaving` says whether this one is about to end.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        leaving: Callable[[], bool],
        elsewhere: Callable[[Question], Awaitable[Sequence[Any]]],
    ) -> None:
        self.config = config
        self.leaving = leaving
        self._elsewhere = elsewhere
        self._known: dict[Place, Session] = {}
        self._sweeping: asyncio.Task[None] | None = None

    def __contains__(self, place: Place) -> bool:
        return place in self._known

    async def has(self, place: Place) -> bool:
        """Whether there are events of that session, here or elsewhere."""
        return place in self or any(await self._elsewhere(Question("count", place)))

    def check(self, place: Place) -> None:
        """Whether there is room for one event more, which may cost its caller, and nobody else, an older session.

        Raises QueueFull.
        """
        session, settings = self._known.get(place), self.config().gradio
        if session is not None and len(session.events) >= settings.events:
            raise QueueFull(f"A session has at most {settings.events} events at once.")
        if session is not None:
            return
        mine = [each for each in self._known if each[0] == place[0]]
        most = max(1, settings.sessions // STRANGERS) if place[0] == NOBODY else settings.sessions
        if len(self._known) >= settings.sessions or len(mine) >= most:
            oldest = next((each for each in mine if self._known[each].idle), None)
            if oldest is None:
                raise QueueFull("There are too many sessions at once.")
            self._known.pop(oldest).end()

    def join(self, place: Place, event: Event) -> None:
        """Add an event."""
        self._known.setdefault(place, Session()).add(event)
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep(), name="sweep gradio sessions")

    def open(self, place: Place, stream: object) -> Session:
        """Have a stream tell of a session; an earlier one ends."""
        session = self._known.setdefault(place, Session())
        session.stream = stream
        session.anew()
        return session

    def close(self, place: Place, stream: object) -> None:
        """A stream has ended; its session waits for another one for a moment."""
        session = self._known.get(place)
        if session is not None and session.stream is stream:
            session.stream, session.until = None, time.monotonic() + GRACE
            if self.leaving() or not session.events:
                session.end()
                del self._known[place]

    async def news_elsewhere(self, place: Place, stream: str, heard: set[str]) -> tuple[Messages, int]:
        """What other processes have to say of a session, and how many events they have. `heard` learns the answers."""
        question = Question("news", place, stream=stream, heard=tuple(heard))
        answers: Sequence[News | None] = await self._elsewhere(question)
        fresh = [news for news in answers if news is not None and news.name not in heard]
        if None not in answers:
            heard.clear()
        heard.update(news.name for news in fresh)
        events = sum(1 if news is None else news.events for news in answers)  # who does not answer may have one
        return [message for news in fresh for message in news.messages], events

    async def cancel(self, place: Place, id: str | None) -> bool:
        """Stop an event of a session, or all; whether there was one."""
        session = self._known.get(place)
        here = 0 if session is None else session.cancel(id)
        return here > 0 or any(await self._elsewhere(Question("cancel", place, id)))

    def answer(self, question: Question) -> News | int:
        """What another process is told."""
        session = self._known.get(question.place)
        if question.what == "cancel":
            return 0 if session is None else session.cancel(question.id)
        if question.what == "count":
            return 0 if session is None else len(session.events)
        if session is None or session.stream is not None:  # which is a newer one
            return News()
        session.until = time.monotonic() + GRACE
        return session.sent(question.stream, question.heard)

    async def _sweep(self) -> None:
        """A session whose client has left is ended, as long as there are sessions."""
        while self._known:
            await asyncio.sleep(SWEEP)
            for place, session in tuple(self._known.items()):
                if session.left or (session.stream is None and self.leaving()):
                    session.end()
                    del self._known[place]
