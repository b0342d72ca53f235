"""How many bytes of documents wait to be read, and whose they are."""

from __future__ import annotations

from collections import Counter

from openai_proxy.errors import QueueFull

# Seconds after which somebody may try again for whose document there was no room.
WAIT = 10.0


class Room:
    """A key may have half of what others leave of it, so that there is some left for the next one; or one document."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    def take(self, owner: str, size: int, most: int) -> None:
        """Let a document of so many bytes wait, of at most `most` in all. Raises QueueFull."""
        all_of_them, own = self._held.total(), self._held[owner]
        over = own and own + size > (most - all_of_them + own) // 2
        if over or (all_of_them and all_of_them + size > most):
            whose = "Too many of your documents" if over else "Too many documents"
            raise QueueFull(f"{whose} wait to be read; try again when some are done.", retry_after=WAIT)
        self._held[owner] += size

    def give_back(self, owner: str, size: int) -> None:
        self._held[owner] -= size
        if not self._held[owner]:
            del self._held[owner]
