"""The outermost layer: who may call, under which name, and what is written down about every exchange.

Pure ASGI. It reads `scope["path"]`, never a URL made from Host, and no byte of a body: a refused request is answered
from its head alone and its connection closed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from openai_proxy.accounts import Accounts, excused
from openai_proxy.accounts.checking import CHALLENGE as LOGIN
from openai_proxy.auth import (
    ANYBODY,
    CHALLENGE,
    IMAGE_FILES,
    JOB_FILES,
    KEY_HEADERS,
    NOBODY,
    PLACEHOLDER,
    STRANGER,
    Caller,
    peer_of,
    presented,
    without_login,
)
from openai_proxy.config import Config
from openai_proxy.door import Edge as DoorEdge
from openai_proxy.errors import (
    BadHead,
    Draining,
    EdgeError,
    Forbidden,
    HostNotAllowed,
    MethodNotAllowed,
    MissingAccount,
    MissingKey,
    NotFound,
    OriginNotAllowed,
    Unauthorized,
    describe,
)
from openai_proxy.faults import Shape, shape_of
from openai_proxy.keys import Keys
from openai_proxy.origins import PREFLIGHT, SAFE, Headers, Origins, is_loopback
from openai_proxy.proxies import Proxies
from openai_proxy.record import Record
from openai_proxy.request_id import request_id
from openai_proxy.wire import WHOLE, Endpoint, fault_headers, render_fault, send_whole

log = logging.getLogger("openai_proxy.gate")

OPEN = frozenset({"/health", "/livez"})
SPARED = OPEN | {"/readyz", "/metrics"}
OPERATORS = "/admin"
TWICE = b"(twice)"
CLOSE = (b"connection", b"close")
COME_BACK = 5.0
BESIDE_LOGIN = "No API key was given: beside HTTP Basic send it as `X-API-KEY: KEY`."
OPENAI = Shape(render_fault)


class Edge(DoorEdge, Protocol):
    """The part of a server's edge that the gate needs: what the listener does, `keys`, which may be replaced,
    `accounts` and who `asks` for them itself, who `admits` callers of other protocols, the `routes` of all.
    """

    @property
    def keys(self) -> Keys: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def asks(self) -> Sequence[Callable[[Scope], bool]]: ...
    @property
    def admits(self) -> Sequence[Callable[[Scope, Mapping[bytes, bytes]], Caller | None]]: ...
    @property
    def routes(self) -> Sequence[BaseRoute]: ...


class Gate:
    """Wraps the application. Puts `request_id`, `head` (headers by name) and `caller` into `scope["state"]`."""

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self.app = app
        self.edge = edge
        self.record = Record(edge.metrics)
        self._prepare(edge.config)

    def _prepare(self, config: Config) -> None:
        self.origins = Origins(config.server)
        self.proxies = Proxies(config.server.trusted_proxies)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http":
            return self._exchange(scope, receive, send)
        if scope["type"] == "websocket":
            return self._converse(scope, receive, send)
        return self.app(scope, receive, send)

    async def _exchange(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.perf_counter()
        head, added = self._look(scope)
        status = 0
        size: int | None = None

        def reply(message: Message) -> Awaitable[None]:
            # Not a coroutine of its own: after the head a chunk costs this one call.
            nonlocal status, size
            if not status:
                status = message["status"]
                headers = [*message["headers"], *added]
                if message["type"] == WHOLE:
                    size = 0 if scope["method"] == "HEAD" else len(message["body"])
                    whole: Awaitable[None] = scope["extensions"][WHOLE]["send"](status, headers, message["body"])
                    return whole
                size = length_of(headers)
                return send({**message, "headers": headers})
            return send(message)

        try:
            if self._enter(scope, head, added, scope["method"]):
                if self.edge.accounts:
                    await self._identify(scope, head)
                await self.app(scope, receive, reply)
            else:
                await _preflight(reply)
        except HTTPException as error:
            await answer(_unrouted(error), scope, reply, self._shape(scope))
        except Exception as error:  # noqa: BLE001 - the boundary to the server: told to the client and logged
            await self._fail(error, scope, reply, status)
        finally:
            self.record(scope, status, size, time.perf_counter() - began)

    async def _converse(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A WebSocket: every web page may open one, so that the origin counts as it does for what changes something."""
        began = time.perf_counter()
        scope["method"] = "GET"
        head, added = self._look(scope)
        status = 0

        def reply(message: Message) -> Awaitable[None]:
            nonlocal status
            if not status:
                status = message.get("status", 101 if message["type"] == "websocket.accept" else 403)
                message = {**message, "headers": [*message.get("headers", ()), *added]}
            return send(message)

        try:
            self._enter(scope, head, added, "CONNECT")
            if self.edge.accounts:
                await self._identify(scope, head)
            await self.app(scope, receive, reply)
        except EdgeError as error:
            await _decline(error, scope, reply, self._shape(scope))
        finally:
            self.record(scope, status, None, time.perf_counter() - began)

    def _look(self, scope: Scope) -> tuple[dict[bytes, bytes], Headers]:
        """Read the head, which the state of the scope then has; also what every answer to it carries."""
        if self.edge.config.server is not self.origins.server:
            self._prepare(self.edge.config)
        head = read_head(scope["headers"])
        identity = request_id(head.get(b"x-request-id"))
        state: dict[str, Any] = scope.setdefault("state", {})
        state["request_id"] = identity
        state["head"] = head
        return head, [(b"x-request-id", identity.encode())]

    def _enter(self, scope: Scope, head: dict[bytes, bytes], added: Headers, method: str) -> bool:
        """Note who calls; False for a browser's preflight, which carries no key. Raises EdgeError."""
        if self.proxies and scope.get("client"):
            peer = self.proxies.caller(scope["client"][0], head.get(b"x-forwarded-for"))
            scope["client"] = (peer, scope["client"][1])
        if self._check_web(method, head, added):
            return False
        scope["state"]["caller"] = self._admit(scope, head)
        return True

    def _check_web(self, method: str, head: dict[bytes, bytes], added: Headers) -> bool:
        """Check Host and Origin; whether this is a browser's preflight, which carries no key. Raises EdgeError."""
        if not self.origins.host_allowed(head.get(b"host", b"")):
            raise HostNotAllowed
        origin = head.get(b"origin")
        if origin is None:
            return False
        headers = self.origins.headers(origin)
        preflight = method == "OPTIONS" and b"access-control-request-method" in head
        if headers is not None:
            added.extend(headers)
        elif preflight or method not in SAFE:
            raise OriginNotAllowed
        return preflight

    def _admit(self, scope: Scope, head: dict[bytes, bytes]) -> Caller:
        """Who calls, if they may. Raises EdgeError."""
        if TWICE in head:
            raise BadHead(f"The header {head[TWICE].decode()} is given twice.")
        if self.edge.keys or self.edge.accounts.closed:
            keyed = without_login(head) if self.edge.accounts else head
            try:
                caller = self._invited(scope, keyed) or self._known(scope, keyed)
            except MissingKey as error:
                if keyed is not head:
                    error.message = BESIDE_LOGIN
                raise
        else:
            caller = self._unknown(scope)
        if self.edge.lifecycle.phase == "draining" and scope["path"] not in SPARED:
            raise Draining(retry_after=COME_BACK)
        return caller

    def _invited(self, scope: Scope, head: Mapping[bytes, bytes]) -> Caller | None:
        """Who may come in without a key in the head, because a protocol asks for one elsewhere."""
        if not self.edge.keys or any(head.get(name, PLACEHOLDER) != PLACEHOLDER for name in KEY_HEADERS):
            return None
        return next((caller for admit in self.edge.admits if (caller := admit(scope, head))), None)

    def _known(self, scope: Scope, head: Mapping[bytes, bytes]) -> Caller:
        path: str = scope["path"]
        if scope["method"] in ("GET", "HEAD") and (path in OPEN or self._is_open_file(path)):
            return STRANGER
        caller = self.edge.keys.find(presented(head)) if self.edge.keys else ANYBODY
        if caller is None:
            raise Unauthorized(headers=CHALLENGE)
        if (path == "/metrics" or path.startswith(OPERATORS)) and "admin" not in caller.scopes:
            raise Forbidden("This needs a key with the scope `admin`.")
        return caller

    def _unknown(self, scope: Scope) -> Caller:
        """Who calls where everybody may: an operator on this machine, a user elsewhere."""
        peer = peer_of(scope)
        if not peer or is_loopback(peer):
            return NOBODY
        if scope["path"].startswith(OPERATORS):
            raise Forbidden("Without keys only clients on the server's own machine may do this.")
        return ANYBODY

    async def _identify(self, scope: Scope, head: Mapping[bytes, bytes]) -> None:
        """Note whose account it is by HTTP Basic. Raises EdgeError, also where everybody needs one and nobody asks for
        it later.
        """
        state, accounts = scope["state"], self.edge.accounts
        if state["caller"] is STRANGER:  # whoever finds their key looks for their account, too
            return
        caller = state["caller"] = await accounts.of_head(head, peer_of(scope), state["caller"])
        if accounts.closed and not excused(caller) and not any(asks(scope) for asks in self.edge.asks):
            raise MissingAccount(headers=LOGIN)

    async def _fail(self, error: Exception, scope: Scope, reply: Send, status: int) -> None:
        if not isinstance(error, EdgeError):
            log.error("request %s failed", scope["state"]["request_id"], exc_info=error)
            scope["state"]["outcome"] = "internal_error"
        if not status:
            await refuse(error, scope, reply, self._shape(scope))
        elif abort := scope.get("extensions", {}).get("openai_proxy.abort"):
            abort["abort"]()

    def _shape(self, scope: Scope) -> Shape:
        """How the protocol shows errors that has this path; a WebSocket's is as that of requests to the same path."""
        scope = {**scope, "type": "http"}
        matches = ((route.matches(scope)[0].value, route.app) for route in self.edge.routes if isinstance(route, Route))
        best, app = max(matches, key=itemgetter(0), default=(0, None))
        return shape_of(app.render) if best and isinstance(app, Endpoint) else OPENAI

    def _is_open_file(self, path: str) -> bool:
        return self.edge.config.server.open_images and path.startswith((IMAGE_FILES, JOB_FILES))


def _unrouted(error: HTTPException) -> EdgeError:
    """The router's own refusals: no such path, or not by that method."""
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "")
        return MethodNotAllowed(headers=((b"allow", allowed.encode()),))
    return NotFound()


async def refuse(error: Exception, scope: Scope, reply: Send, shape: Shape) -> None:
    """Answer with the fault of `error` and close the connection, so that no body is taken for a next request."""
    await answer(error, scope, reply, shape, CLOSE)


async def answer(error: Exception, scope: Scope, reply: Send, shape: Shape, *more: tuple[bytes, bytes]) -> None:
    """Answer with the fault of `error`."""
    fault = shape.reword(describe(error, scope["state"]["request_id"]))
    scope["state"].setdefault("outcome", fault.code)
    await send_whole(scope, reply, fault.status, [*fault_headers(fault, shape.media_type), *more], shape.render(fault))


async def _decline(error: EdgeError, scope: Scope, reply: Send, shape: Shape) -> None:
    """Answer the handshake of a WebSocket with a fault."""
    fault = shape.reword(describe(error, scope["state"]["request_id"]))
    scope["state"].setdefault("outcome", fault.code)
    headers = [*fault_headers(fault, shape.media_type), CLOSE]
    await reply({"type": "websocket.http.response.start", "status": fault.status, "headers": headers})
    await reply({"type": "websocket.http.response.body", "body": shape.render(fault)})


async def _preflight(reply: Send) -> None:
    await reply({"type": "http.response.start", "status": 204, "headers": PREFLIGHT})
    await reply({"type": "http.response.body", "body": b""})


def read_head(headers: Headers) -> dict[bytes, bytes]:
    """The headers by name, repeated ones joined; `TWICE` is among them when one that carries a key is repeated."""
    head = dict(headers)
    return head if len(head) == len(headers) else _joined(headers)


def _joined(headers: Headers) -> dict[bytes, bytes]:
    head: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in head and name in KEY_HEADERS:
            head[TWICE] = name
        head[name] = head[name] + b"," + value if name in head else value
    return head


def length_of(headers: Headers) -> int | None:
    """The length of a body that is sent whole."""
    length = dict(headers).get(b"content-length")
    return None if length is None else int(length)
