"""Names -> IP addresses, by the system's resolver, which cannot be called off: each look-up has a thread of its own.

The threads are daemons and counted. A resolver that hangs then holds up neither other work in threads nor the end of
the process, and cannot gather more of them than a few.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from openai_proxy.fetching import NotFetched

# The IP addresses of a host; raises NotFetched.
LookUp: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]

MOST = 32


class Resolver:
    """Looks names up, at most 32 at once; `running` counts also those that nobody waits for any more."""

    def __init__(self) -> None:
        self.running = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        """All addresses of a host, in the order in which they are to be tried. Raises NotFetched."""
        if self.running >= MOST:
            raise NotFetched("timed_out", "too many look-ups wait for the resolver")
        loop = asyncio.get_running_loop()
        found: asyncio.Future[list[str]] = loop.create_future()

        def work() -> None:
            outcome = _look_up(host, port)
            with contextlib.suppress(RuntimeError):  # the loop may be gone
                loop.call_soon_threadsafe(self._tell, found, outcome)

        threading.Thread(target=work, name="look-up", daemon=True).start()
        self.running += 1
        return await found

    def _tell(self, found: asyncio.Future[list[str]], outcome: list[str] | NotFetched) -> None:
        self.running -= 1
        if found.done():
            return
        if isinstance(outcome, NotFetched):
            found.set_exception(outcome)
        else:
            found.set_result(outcome)


def _look_up(host: str, port: int) -> list[str] | NotFetched:
    try:
        # As bytes, which nothing reads once more as an international name.
        entries = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return NotFetched("no_such_name", f"cannot be looked up: {error}")
    return list(dict.fromkeys(str(entry[4][0]) for entry in entries))
