"""Pictures that clients fetch by address: kept in memory, the oldest forgotten first, for a while and within a bound.

A name is 256 random bits. Where several processes serve, each keeps those that it drew.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct

from backends.errors import Overloaded
from openai_proxy.config import Config

ENDINGS = {"image/png": "png", "image/jpeg": "jpg", "image/webp": "webp", "image/gif": "gif"}
# A browser shall take it for a picture and for nothing else, on whatever page it is shown.
GUARDED = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
NAME = re.compile(r"[A-Za-z0-9_-]{43}\.(?:png|jpg|webp|gif)")


class Kept(Struct, frozen=True):
    """A picture, and how many seconds it is still there."""

    data: bytes
    media_type: str
    left: float


class ImageFiles:
    """The pictures of this process. `config` is asked each time: it may be reloaded."""

    def __init__(self, config: Callable[[], Config], clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._kept: dict[str, tuple[bytes, str, float]] = {}
        self._order: deque[str] = deque()
        self._size = 0

    def put(self, data: bytes, media_type: str) -> str:
        """Keep a picture; its name. Raises Overloaded for one that is larger than all that may be kept."""
        config = self._config()
        if len(data) > config.limits.stored_images:
            raise Overloaded("There is no room for this picture at an address: ask for b64_json.")
        now = self._clock()
        self._make_room(now, config.limits.stored_images - len(data))
        name = f"{secrets.token_urlsafe(32)}.{ENDINGS[media_type]}"
        self._kept[name] = data, media_type, now + config.timeouts.stored_image
        self._order.append(name)
        self._size += len(data)
        return name

    def find(self, name: str) -> Kept | None:
        """None for what is not there, or not any more."""
        now = self._clock()
        self._make_room(now, self._config().limits.stored_images)
        if name not in self._kept:
            return None
        data, media_type, until = self._kept[name]
        return Kept(data, media_type, until - now) if until > now else None

    def _make_room(self, now: float, room: int) -> None:
        while self._order and (self._size > room or self._kept[self._order[0]][2] <= now):
            self._size -= len(self._kept.pop(self._order.popleft())[0])
