"""Jobs that have ended and are asked about again and again: they are told from memory for a while."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence

from msgspec import Struct

from openai_proxy.jobs.store import Record

# Bytes of all that are remembered, and of one; what each takes beside its events and what its client sent.
MOST, MOST_OF_ONE, BESIDE = 16_000_000, 1_000_000, 2000
# Seconds: then it is looked whether the job is still kept.
FRESH = 60.0


class Past(Struct, frozen=True):
    """How a job ended, and its encoded events in pieces, each with the number of its first."""

    record: Record
    pieces: Sequence[tuple[int, bytes]]
    size: int
    until: float


class Ended:
    """Only jobs that succeeded: others may be done again, by another process."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Past] = OrderedDict()
        self._size = 0

    def put(self, record: Record, pieces: Sequence[tuple[int, bytes]]) -> None:
        """Remember a job with all its events, if it succeeded and they are not too many."""
        size = BESIDE + len(record.sent) + sum(len(data) for _, data in pieces)
        if record.state != "succeeded" or size > MOST_OF_ONE:
            return
        self._forget(record.id)
        self._known[record.id] = Past(record, pieces, size, time.monotonic() + FRESH)
        self._size += size
        while self._size > MOST:
            self._forget(next(iter(self._known)))

    def get(self, id: str) -> Past | None:
        """None where it is not known any more."""
        past = self._known.get(id)
        if past is not None and time.monotonic() > past.until:
            self._forget(id)
            return None
        return past

    def clear(self) -> None:
        """Know nothing any more."""
        self._known.clear()
        self._size = 0

    def _forget(self, id: str) -> None:
        past = self._known.pop(id, None)
        self._size -= 0 if past is None else past.size
