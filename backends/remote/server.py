"""One upstream over HTTP: how it is asked, probed, and what its failures are called."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from backends.remote.bodies import Call
from backends.remote.credentials import read_certificates, read_key
from backends.remote.faults import KEYS
from backends.remote.http import Answer, Peer, connector
from backends.remote.http.errors import HttpError, NotConnected
from backends.remote.listing import Listed, read_listing
from backends.remote.options import Options, UpstreamOptions
from backends.remote.probing import ProbeResult
from backends.remote.reports import Report, read_report
from backends.trace import HEADERS, trace_lines
from backends.via import via_line

MODELS = "/v1/models"
LARGEST_LISTING = 4_000_000
LARGEST_METRICS = 16_000_000

log = logging.getLogger(__name__)


class Server:
    """An upstream's address, key and connections; `listed` are its models once it told them.

    Raises ValueError for a key or certificate that cannot be read.
    """

    def __init__(self, options: UpstreamOptions, model: str, shared: Options) -> None:
        self.name = options.called
        self.model = options.model or model
        self._ours = model
        self.secret = read_key(options)
        self.listed: Mapping[str, Listed] | None = None
        self._address = options.address
        self._probe_path = shared.probe_path
        self._lists = shared.models is not None
        self._reports = shared.strategy == "prefix"
        self._targets: dict[str, bytes] = {}
        self._key_refused = False
        self._options = options
        own = "".join(f"{name.lower()}: {value}\r\n" for name, value in options.headers.items())
        self._traced = HEADERS.isdisjoint(name.lower() for name in options.headers)
        self._own = b"accept-encoding: identity\r\n" + own.encode("ascii")
        self._headers = self._own + self.secret.header
        self._connector = connector(
            Peer(
                self._address.origin,
                connect_timeout=shared.connect_timeout,
                idle_timeout=shared.keep_alive,
                max_idle=shared.idle_connections,
                tls=read_certificates(options),
                proxy=options.proxy,
            ),
            shared.client,
        )

    def reread_key(self) -> bool:
        """Take the key that is there now; True when it is another one. Raises ValueError, and keeps the old one."""
        secret = read_key(self._options)
        if secret.header == self.secret.header:
            return False
        self.secret = secret
        self._headers = self._own + secret.header
        self._key_refused = False
        return True

    def heard(self, status: int) -> None:
        """Tell operators, once, that the key is not taken: its clients can do nothing about it."""
        if status in KEYS and not self._key_refused:
            self._key_refused = True
            said = "model %s: upstream %s does not accept this server's key (status %d)"
            log.warning(said, self._ours, self.name, status)

    async def send(self, call: Call) -> Answer:
        """Ask, and wait for the head of the answer. Raises HttpError."""
        target = self._targets.get(call.path)
        if target is None:
            target = self._targets[call.path] = self._address.target(f"/{call.path}")
        head = call.head + via_line() + (trace_lines() if self._traced else b"") + self._headers
        return await self._connector.send(b"POST", target, head, call.body)

    async def close(self) -> None:
        await self._connector.close()

    async def probe(self) -> ProbeResult:
        """Whether it answers; and where that is a list of models, what they are. A server's refusal is an answer."""
        try:
            status, body = await self._get(self._probe_path, LARGEST_LISTING)
            self.heard(status)
            if status >= 500:
                return ProbeResult(False, reason=f"a probe was answered with status {status}")
            if self._probe_path != MODELS and self._lists:
                status, body = await self._get(MODELS, LARGEST_LISTING)
            listed = read_listing(body) if status == 200 else None
            if listed is not None:  # what is no list says nothing of the models
                self.listed = listed
            return ProbeResult(True, report=await self._report() if self._reports else Report())
        except NotConnected as error:
            return ProbeResult(False, refused=True, reason=error.reason)
        except HttpError as error:
            return ProbeResult(False, reason=error.reason)

    async def _report(self) -> Report:
        """What its metrics say; one without any may answer requests all the same."""
        try:
            status, body = await self._get("/metrics", LARGEST_METRICS)
        except HttpError:
            return Report()
        return read_report(body) if status == 200 else Report()

    async def _get(self, path: str, limit: int) -> tuple[int, bytes]:
        answer = await self._connector.send(b"GET", self._address.target(path), via_line() + self._headers, b"")
        try:
            return answer.status, await answer.whole(limit)
        finally:
            answer.close()
