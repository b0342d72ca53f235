"""Server-sent events out of the reads that bring them, where there are few of them: each is taken out by itself.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation.
"""

from __future__ import annotations

from backends.remote.unreadable import Unreadable, check_utf8

BOM = b"\xef\xbb\xbf"
END = b"[DONE]"


class Frames:
    """One stream of events whose data are JSON. `feed` it all that comes; `largest` is how many bytes one may have."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._rest = bytearray()
        self._searched = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The data of each event that is whole now; comments and other fields tell nothing here. Raises Unreadable."""
        self._rest += data.replace(b"\r", b"")  # JSON has none, and in these streams every line ends with a line feed
        found: list[bytes] = []
        while (end := self._rest.find(b"\n\n", self._searched)) >= 0:
            told = _data(bytes(self._rest[:end]))
            del self._rest[: end + 2]
            self._searched = 0
            if told:
                found.append(told)
        self._searched = max(0, len(self._rest) - 1)
        if len(self._rest) > self._largest:
            raise Unreadable("The server behind this model sent an event of unbounded length.")
        return found


def _data(event: bytes) -> bytes:
    lines = event.removeprefix(BOM).split(b"\n")
    data = b" ".join([line[5:].strip() for line in lines if line.startswith(b"data:")])
    check_utf8(data)
    return data
