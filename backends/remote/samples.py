"""A WAV file as it comes -> its samples, 16-bit mono. Source: http://soundfile.sapp.org/doc/WaveFormat/"""

from __future__ import annotations

import array
import struct

from backends.remote.unreadable import Unreadable

WIDTH = 2
PLAIN, EXTENSIBLE = 1, 0xFFFE
LOWEST_RATE, HIGHEST_RATE, MOST_CHANNELS = 8_000, 192_000, 8
LONGEST_HEAD = 65_536


class Samples:
    """Feed it all that comes. `rate` is known with the first samples, or from the beginning for a sound without a head.

    Of several channels the first one counts. What a head says of their number may be anything that is too much.
    """

    def __init__(self, rate: int = 0) -> None:
        self.rate = rate
        self._channels = 1
        self._in_head = rate == 0
        self._rest = b""
        self._left: int | None = None

    def feed(self, data: bytes) -> bytes:
        """The samples that are whole now. Raises Unreadable for what is no WAV of 16 bits."""
        data = self._rest + data
        if self._in_head:
            start = self._read_head(data)
            if start is None:
                self._rest = data
                return b""
            self._in_head, data = False, data[start:]
        if self._left is not None:
            data = data[: self._left]
        step = WIDTH * self._channels
        whole = len(data) // step * step
        self._rest = data[whole:]
        if self._left is not None:
            self._left -= whole
        return data[:whole] if self._channels == 1 else self._first_channel(data[:whole])

    def _first_channel(self, data: bytes) -> bytes:
        return array.array("H", data)[:: self._channels].tobytes()

    def _read_head(self, data: bytes) -> int | None:
        """Where the samples begin; None while that has not come."""
        if data[:4] not in (b"RIFF"[: len(data)], b"RIFF") or data[8:12] != b"WAVE"[: max(0, len(data) - 8)]:
            raise Unreadable("The server behind this model sent something that is no WAV file.")
        place = 12
        while len(data) >= place + 8:
            name, size = struct.unpack_from("<4sI", data, place)
            place += 8
            if name == b"data":
                self._left = size or None  # some who do not know the length tell none
                return self._checked(place)
            if place + size > LONGEST_HEAD:
                raise Unreadable("The server behind this model sent a WAV file without samples.")
            if name == b"fmt ":
                if len(data) < place + 16:
                    return None
                self._read_form(data[place : place + 16])
            place += size + size % 2
        return None

    def _read_form(self, form: bytes) -> None:
        coding, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form)
        if coding not in (PLAIN, EXTENSIBLE) or bits != 8 * WIDTH or not 1 <= channels <= MOST_CHANNELS:
            raise Unreadable("The server behind this model sent a WAV file of another coding than 16-bit PCM.")
        if not LOWEST_RATE <= rate <= HIGHEST_RATE:
            raise Unreadable(f"The server behind this model sent a WAV file of {rate} samples a second.")
        self.rate, self._channels = rate, channels

    def _checked(self, place: int) -> int:
        if not self.rate:
            raise Unreadable("The server behind this model sent a WAV file that does not tell its rate.")
        return place
