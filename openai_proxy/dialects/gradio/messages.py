"""How an event stands -> the messages of Gradio's queue that a client has not had yet.

Source: gradio_client 2.7.2, 1.0.2 and 0.6.1. Outputs are whole in every message (protocol "sse_v1").
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from openai_proxy.dialects.gradio.events import Event
from openai_proxy.dialects.gradio.outputs import Output, Room

# Seconds between two outputs of an event: clients look that often.
APART = 0.05


class Telling:
    """What was told of one event on one connection."""

    def __init__(self, event: Event) -> None:
        self.event = event
        self._position: int | None = None
        self._started = False
        self._outputs = 0
        self._last = 0.0
        self.done = False

    def news(self) -> Iterator[dict[str, Any]]:
        """What there is to say now. Of an event that streams the last output comes twice: clients keep the first."""
        event = self.event
        if self._position is None or (event.phase == "waiting" and event.position != self._position):
            self._position = event.position
            yield self._message("estimation", **standing(event))
        if event.phase != "waiting" and not self._started:
            self._started = True
            yield self._message("process_starts")
        if event.streams and event.fault is None and self._fresh and (event.over or self.wait() <= 0):
            self._outputs = event.outputs
            self._last = time.monotonic()
            yield self._message("process_generating", output=output(event, more=True), success=True)
        if event.over and not self.done:
            self.done = True
            yield self._completed()

    def wait(self) -> float:
        """Seconds until there may be another output."""
        return self._last + APART - time.monotonic()

    @property
    def behind(self) -> bool:
        """Whether there is an output that could not be told yet."""
        return self.event.streams and self._fresh and not self.event.over

    @property
    def _fresh(self) -> bool:
        return self.event.outputs > self._outputs

    def _completed(self) -> dict[str, Any]:
        event = self.event
        if event.fault is None:
            return self._message("process_completed", output=output(event), success=True)
        error = {"error": event.fault.message}
        return self._message("process_completed", output=error, success=False, title="Error")

    def _message(self, what: str, **more: Any) -> dict[str, Any]:
        return {"msg": what, "event_id": self.event.id, **more}


def plain(message: dict[str, Any]) -> dict[str, Any]:
    """A message for another process, which has a room of its own."""
    return _with_text(message, lambda found: found.text if isinstance(found, Output) else found)


def held(messages: Sequence[dict[str, Any]], room: Room, owner: str) -> list[dict[str, Any]]:
    """Messages of other processes. A text that comes twice, as the last one of a stream does, is one output."""
    outputs: dict[str, Output] = {}

    def made(text: str | None) -> Output | None:
        if text is not None and text not in outputs:
            outputs[text] = room.hold(owner, text)
        return None if text is None else outputs[text]

    return [_with_text(message, made) for message in messages]


def _with_text(message: dict[str, Any], made: Callable[[Any], Any]) -> dict[str, Any]:
    if "data" not in message.get("output", ()):
        return message
    return {**message, "output": {**message["output"], "data": [made(each) for each in message["output"]["data"]]}}


def standing(event: Event) -> dict[str, Any]:
    """Its place in the queue, counted from 0."""
    return {"rank": max(event.position - 1, 0), "queue_size": max(event.position, 1), "rank_eta": event.eta}


def output(event: Event, *, more: bool = False) -> dict[str, Any]:
    """The newest output."""
    seconds = round(event.seconds, 3)
    data = [event.output or ""] if event.values is None else [*event.values]
    return {"data": data, "is_generating": more, "duration": seconds, "average_duration": seconds}
