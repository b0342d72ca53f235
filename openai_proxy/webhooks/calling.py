"""One call: a POST to an address that was checked, without following anything, and what came of it."""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from openai_proxy.config import Config
from openai_proxy.errors import UrlNotAllowed
from openai_proxy.fetching import NotFetched
from openai_proxy.fetching.address import Address
from openai_proxy.fetching.lookup import LookUp
from openai_proxy.fetching.trust import Trust
from openai_proxy.metrics import Metrics
from openai_proxy.webhooks.guard import Guard
from openai_proxy.webhooks.lines import Lines
from openai_proxy.webhooks.signing import signed

HEADERS = ((b"User-Agent", b"openai-proxy"), (b"Content-Type", b"application/json"), (b"Connection", b"close"))
GONE = 410
LONGEST_NOTE = 200

log = logging.getLogger("openai_proxy.webhooks")


class Message(Struct, frozen=True):
    """What is told of an `event` of a job; `body` makes it, JSON, when it is its turn. `id` stays the same when it is
    sent again.
    """

    event: str
    id: str
    body: Callable[[], Awaitable[bytes]]


class Ended(Struct):
    """How a call ended, for the metrics and the log."""

    outcome: str = "canceled"
    note: str = "the server ends"
    host: str = "-"
    seconds: float = 0.0


class Caller:
    """`config` is asked each time: it may be reloaded."""

    def __init__(self, config: Callable[[], Config], metrics: Metrics, look_up: LookUp) -> None:
        self.guard = Guard(config, look_up)
        self.metrics = metrics
        self._config = config
        self._lines = Lines()
        self._trust = Trust("webhooks.ca_file")

    async def call(self, url: str, message: Message, what: str) -> str:
        """Send a message, when it is its turn; `what` is it for the log. "delivered", "gone" if its receiver wants no
        more of them, or why it did not arrive. Raises what `body` raises.
        """
        ended = Ended()
        try:
            address = self.guard.read(url, "webhook")
            ended.host = address.host
            config = self._config()
            per_host, at_once = config.webhooks.per_host, config.webhooks.at_once
            workers = config.server.workers
            async with self._lines.turn(address.host, max(1, per_host // workers), max(1, at_once // workers)):
                body = await message.body()
                began = time.monotonic()
                try:
                    ended.outcome, ended.note = await self._within(address, message.id, body)
                finally:
                    ended.seconds = time.monotonic() - began
        except UrlNotAllowed as refused:
            ended.outcome, ended.note = "blocked", refused.message
        except NotFetched as failed:
            ended.outcome, ended.note = failed.reason, failed.note[:LONGEST_NOTE]
        except Exception as error:
            ended.outcome, ended.note = "failed", type(error).__name__
            raise
        finally:
            self._tell(ended, message, what)
        return ended.outcome

    async def _within(self, address: Address, id: str, body: bytes) -> tuple[str, str]:
        seconds = self._config().timeouts.webhook
        try:
            async with asyncio.timeout(seconds):
                status = await self._status(address, id, body, time.monotonic() + seconds)
        except TimeoutError:
            raise NotFetched("timed_out", f"no answer within {seconds:g} s") from None
        if 200 <= status < 300:
            return "delivered", f"status {status}"
        return "gone" if status == GONE else "refused", f"status {status}"

    async def _status(self, address: Address, id: str, body: bytes, until: float) -> int:
        """Raises NotFetched."""
        # What speaks HTTP costs a tenth of a second and some memory, once and only where something is called.
        await asyncio.to_thread(importlib.import_module, "openai_proxy.fetching.exchange")
        from openai_proxy.fetching.exchange import Question, asked, status_of

        settings = self._config().webhooks
        secrets = await self.guard.secrets()
        context = await self._trust.context(settings) if address.scheme == "https" else None
        ips = await self.guard.reached(address)
        headers = (*HEADERS, (b"Content-Length", b"%d" % len(body)), *signed(secrets, id, int(time.time()), body))
        async with asked(address, ips, context, until, 0, Question(b"POST", headers, body)) as response:
            return await status_of(response)

    def _tell(self, ended: Ended, message: Message, what: str) -> None:
        """The metrics, and the line in the log."""
        self.metrics.webhooks.labels(message.event, ended.outcome).inc()
        self.metrics.webhook_seconds.observe(ended.seconds)
        level = logging.INFO if ended.outcome in ("delivered", "canceled") else logging.WARNING
        told = (message.event, what, ended.host, ended.outcome, ended.note, ended.seconds * 1000)
        log.log(level, "webhook: %s of %s to %s: %s (%s), %.0f ms", *told)
