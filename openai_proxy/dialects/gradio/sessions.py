"""Sessions: the events of one client, which one stream of messages tells of.

A client hands in an event, learns its id, and only then opens the stream if it has none: so events wait for a stream
for a while. It closes the stream when all events that it knows are over: so nothing is said of one whose id it may not
have learned yet. Where several processes serve, the stream may be another one's than the events: it then asks again and
again for what there is to say.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from openai_proxy.config import Config
from openai_proxy.dialects.gradio.events import Event
from openai_proxy.dialects.gradio.messages import Telling, held, plain
from openai_proxy.dialects.gradio.outputs import Room
from openai_proxy.errors import Draining, QueueFull

# Seconds: until a client surely knows the id of its event; that events wait to be told of; that they go on whose stream
# was left, as its client may not have known of them; how often it is looked what was left.
KNOWN, KEPT, GRACE, SWEEP = 0.15, 20.0, 0.3, 0.1

# Clients that have a key only in the dict, or none, have this name and the tenth part of all sessions together.
STRANGERS, NOBODY = 10, ""

# Whose a session is, and what its client calls it.
Place: TypeAlias = tuple[str, str]
Messages: TypeAlias = list[dict[str, Any]]


class Question(Struct, frozen=True):
    """What a process asks another one: to say what there is of a session, to cancel an event (all without an `id`), or
    to count them. `left` tells that the stream is not there any more.

    `heard` are the names of the answers that arrived for that `stream`: what was in others is said again.
    """

    what: Literal["news", "cancel", "count", "left"]
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
    """One client's events. `stream` is the one that tells of them now; without one each waits for a while only."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.stream: object | None = None
        self.changed = asyncio.Event()
        self._waits: dict[str, float] = {}
        self._tellings: dict[str, Telling] = {}
        self._sent = News()
        self._sent_to = ""
        self._first: Event | None = None
        self._until = 0.0

    def add(self, event: Event) -> None:
        """One event more, for which there may soon be a stream."""
        self.events[event.id] = event
        self._waits[event.id] = time.monotonic() + KEPT
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
        messages = [*missing, *map(plain, self.news())]
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

    def leave(self, stream: str) -> None:
        """That stream elsewhere has ended."""
        if stream == self._sent_to:
            self.go_on(GRACE)

    def go_on(self, seconds: float) -> None:
        """What was told of goes on for so long, if no stream tells of it again."""
        until = time.monotonic() + seconds
        self._waits.update(dict.fromkeys(self._tellings, until))
        self._until = until

    def end(self, *, late: bool = False) -> None:
        """Nobody listens any more: stop and forget all events, or those that it is too late for."""
        now = time.monotonic()
        for event in tuple(self.events.values()):
            if not late or now > self._waits[event.id]:
                event.cancel()
                self._forget(event)

    def _forget(self, event: Event) -> None:
        event.leave(self.changed)
        for known in (self.events, self._tellings, self._waits):
            known.pop(event.id, None)

    @property
    def left(self) -> bool:
        """Whether there is nothing to say, and nobody to hear it."""
        return self.stream is None and not self.events and (not self._sent.messages or time.monotonic() > self._until)

    @property
    def idle(self) -> bool:
        """Whether nobody listens and nothing runs."""
        return self.stream is None and all(event.over for event in self.events.values())


class Sessions:
    """The sessions of this process. `config` is asked each time; outputs are in the `room`; `leaving` says whether this
    process is about to end, and `elsewhere` asks the others, if there are any.
    """

    def __init__(
        self,
        config: Callable[[], Config],
        room: Room,
        leaving: Callable[[], bool],
        elsewhere: Callable[[Question], Awaitable[Sequence[Any]]],
    ) -> None:
        self.config = config
        self.room = room
        self.leaving = leaving
        self._elsewhere = elsewhere
        self._known: dict[Place, Session] = {}
        self._sweeping: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()

    def __contains__(self, place: Place) -> bool:
        return place in self._known

    async def has(self, place: Place) -> bool:
        """Whether there are events of that session, here or elsewhere."""
        return place in self or await self.has_elsewhere(place)

    async def has_elsewhere(self, place: Place) -> bool:
        """Whether other processes have events of that session, as of now; who does not answer may have one."""
        return any(count != 0 for count in await self._elsewhere(Question("count", place)))

    def join(self, place: Place, event: Event) -> None:
        """Add an event. That may cost its caller, and nobody else, an older session. Raises QueueFull."""
        if place not in self._known:
            self._make_room(place[0])
        session, most = self._known.setdefault(place, Session()), self.config().gradio.events
        if len(session.events) >= most:
            raise QueueFull(f"A session has at most {most} events at once.")
        session.add(event)
        if self._sweeping is None or self._sweeping.done():
            self._sweeping = asyncio.create_task(self._sweep(), name="sweep gradio sessions")

    def _make_room(self, owner: str) -> None:
        settings = self.config().gradio
        mine = [each for each in self._known if each[0] == owner]
        most = max(1, settings.sessions // STRANGERS) if owner == NOBODY else settings.key_sessions
        if len(self._known) < settings.sessions and len(mine) < most:
            return
        oldest = next((each for each in mine if self._known[each].idle), None)
        if oldest is None:
            raise QueueFull("There are too many sessions at once.")
        self._known.pop(oldest).end()

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
            session.stream = None
            session.go_on(GRACE)
            if self.leaving() or not session.events:
                session.end()
                del self._known[place]

    def left_elsewhere(self, place: Place, stream: str) -> None:
        """Tell the other processes that a stream has ended."""
        task = asyncio.create_task(self._tell_left(Question("left", place, stream=stream)), name="gradio stream left")
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_left(self, question: Question) -> None:
        with contextlib.suppress(Draining):  # then they end as well
            await self._elsewhere(question)

    async def news_elsewhere(self, place: Place, stream: str, heard: set[str]) -> tuple[Messages, int]:
        """What other processes have to say of a session, and how many events they have. `heard` learns the answers."""
        question = Question("news", place, stream=stream, heard=tuple(heard))
        answers: Sequence[News | None] = await self._elsewhere(question)
        fresh = [news for news in answers if news is not None and news.name not in heard]
        if None not in answers:
            heard.clear()
        heard.update(news.name for news in fresh)
        events = sum(1 if news is None else news.events for news in answers)  # who does not answer may have one
        return held([message for news in fresh for message in news.messages], self.room, place[0]), events

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
        if question.what == "left":
            session.leave(question.stream)
            return News()
        # Its reader may be slow: that it does not ask says nothing, but for a process that is gone.
        news = session.sent(question.stream, question.heard)
        session.go_on(self.config().timeouts.send)
        return news

    async def _sweep(self) -> None:
        """A session whose client has left is ended, as long as there are sessions."""
        while self._known:
            await asyncio.sleep(SWEEP)
            for place, session in tuple(self._known.items()):
                if session.stream is None:
                    session.end(late=not self.leaving())
                if session.left:
                    del self._known[place]
