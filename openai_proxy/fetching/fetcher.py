"""An address -> the bytes there, within the operator's `[media]`, or one refusal that tells nobody why.

Whether nothing listens, nothing answers or nobody may ask looks the same from outside: else clients could find out
through this server what there is in its network. The reason is in the log, with the host alone.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import time
from collections.abc import Callable
from typing import TypeAlias

from backends.trace import current
from openai_proxy.config import Config, Media
from openai_proxy.errors import UrlNotAllowed, UrlNotListed
from openai_proxy.fetching import NotFetched
from openai_proxy.fetching.address import Address, LocalFile, follow, matches, read
from openai_proxy.fetching.local import read_local
from openai_proxy.fetching.lookup import LookUp, Resolver
from openai_proxy.fetching.reach import checked
from openai_proxy.fetching.trust import Trust
from openai_proxy.fetching.turns import Turns

# Tells how a fetch ended, after how many seconds, with how many bytes.
Tell: TypeAlias = Callable[[str, float, int], None]
# Whether content begins as it should, by its first 16 bytes.
Begins: TypeAlias = Callable[[bytes], bool]

REDIRECTS = frozenset({301, 302, 303, 307, 308})
LONGEST_NOTE = 200
REFUSAL = "{param}: nothing could be fetched from this address."

log = logging.getLogger("openai_proxy.fetching")


class Fetcher:
    """Fetches. `config` is asked each time: it may be reloaded. `look_up` may be put in the resolver's place."""

    def __init__(self, config: Callable[[], Config], tell: Tell, look_up: LookUp | None = None) -> None:
        self.look_up: LookUp = look_up or Resolver()
        self._config = config
        self._tell = tell
        self._turns = Turns()
        self._trust = Trust("media.ca_file")

    def read(self, url: str, param: str, *, upstream: bool = False) -> Address | LocalFile:
        """What an address means, if that may be fetched by what can be read of it; by an `upstream` if not here.

        Raises UrlNotAllowed, with the reason: it tells nothing but what the client wrote and what the settings are.
        """
        config = self._config()
        if len(url) > config.limits.url:
            raise UrlNotAllowed(f"{param}: an address has at most {config.limits.url} characters.", param=param)
        try:
            found = read(url)
        except ValueError as error:
            found, problem = None, str(error)
        media = config.media
        if isinstance(found, LocalFile) and not media.local_dir:
            raise UrlNotAllowed(f"{param}: files of this machine are not read here.", param=param)
        if not (isinstance(found, LocalFile) or media.fetch or upstream):
            raise UrlNotAllowed(f"{param}: fetching is not enabled here; send it in the request.", param=param)
        if found is None:
            raise UrlNotAllowed(f"{param}: the address {problem}.", param=param)
        if isinstance(found, Address):
            if media.domains and not matches(found.host, media.domains):
                raise UrlNotListed(f"{param}: nothing is fetched from this host here.", param=param)
            if not upstream and (reason := _unasked(found, media)):
                raise UrlNotAllowed(f"{param}: {reason}.", param=param)
        return found

    async def fetch(
        self,
        source: Address | LocalFile,
        param: str,
        begins: Begins,
        took: Callable[[int], None] = lambda _: None,
        *,
        owner: str,
    ) -> bytes:
        """What lies there. `took` is told of each piece how many bytes it has, and may raise to end it. `owner` is who
        asks: one's fetches wait for those of others in turn.

        Raises UrlNotAllowed, always in the same words, QueueFull or QueueTimeout.
        """
        config = self._config()
        at_once = max(1, config.media.at_once // config.server.workers)
        async with self._turns.turn(owner, at_once, config.media.queue, config.timeouts.queue):
            began, outcome, note, size = time.monotonic(), "canceled", "nobody waits for it any more", 0
            try:
                data = await self._within(source, config, begins, took)
                outcome, size = "ok", len(data)
                note = f"{size} bytes"
                return data
            except NotFetched as error:
                outcome, note = error.reason, error.note[:LONGEST_NOTE]
                raise UrlNotAllowed(REFUSAL.format(param=param), param=param) from None
            finally:
                seconds = time.monotonic() - began
                self._tell(outcome, seconds, size)
                _note(source, outcome, note, seconds)

    async def _within(
        self, source: Address | LocalFile, config: Config, begins: Begins, took: Callable[[int], None]
    ) -> bytes:
        try:
            async with asyncio.timeout(config.timeouts.fetch):
                if isinstance(source, Address):
                    return await self._follow(source, config, begins, took)
                folder, most = config.media.local_dir or "", config.limits.fetched_bytes
                data = await asyncio.to_thread(read_local, source.path, folder, most, begins)
                took(len(data))
                return data
        except TimeoutError:
            raise NotFetched("timed_out", f"not done within {config.timeouts.fetch:g} s") from None

    async def _follow(self, address: Address, config: Config, begins: Begins, took: Callable[[int], None]) -> bytes:
        # What speaks HTTP costs a tenth of a second and some memory, once and only where something is fetched.
        await asyncio.to_thread(importlib.import_module, "openai_proxy.fetching.exchange")
        from openai_proxy.fetching.exchange import asked, header, whole

        for _ in range(config.media.redirects + 1):
            context = await self._trust.context(config.media) if address.scheme == "https" else None
            until = time.monotonic() + config.timeouts.fetch_connect
            ips = await checked(address, self.look_up, config.media.networks, config.timeouts.fetch_connect)
            async with asked(address, ips, context, until, config.limits.fetched_bytes) as response:
                if response.status not in REDIRECTS:
                    return await whole(response, config.limits.fetched_bytes, begins, took)
                address = _next(address, header(response, b"location"), config)
        raise NotFetched("refused", f"more than {config.media.redirects} redirects")


def _note(source: Address | LocalFile, outcome: str, note: str, seconds: float) -> None:
    """The line in the log."""
    host = source.host if isinstance(source, Address) else "a file"
    trace = current.get()
    level = logging.INFO if outcome in ("ok", "canceled") else logging.WARNING
    request = "-" if trace is None else trace.request_id
    log.log(level, "fetch from %s: %s (%s), %.0f ms, request %s", host, outcome, note, seconds * 1000, request)


def _unasked(address: Address, media: Media) -> str | None:
    """Why nobody is asked there, by what the settings say of schemes and ports."""
    if address.scheme not in media.schemes:
        return f"only {' and '.join(media.schemes)} addresses are fetched here"
    if address.port not in media.ports:
        return "nothing is fetched from this port here"
    return None


def _next(address: Address, location: bytes | None, config: Config) -> Address:
    """Where a redirect leads, if one may go there. Raises NotFetched."""
    try:
        found = follow(address, (location or b"").decode("latin-1"))
    except ValueError as error:
        raise NotFetched("blocked", f"redirected to what {error}") from None
    if not location:
        raise NotFetched("malformed", "a redirect without an address")
    domains = config.media.domains
    if reason := _unasked(found, config.media):
        raise NotFetched("blocked", f"redirected to {found.host}: {reason}")
    if len(found.target) > config.limits.url or (domains and not matches(found.host, domains)):
        raise NotFetched("blocked", f"redirected to {found.host}, which is not listed")
    return found
