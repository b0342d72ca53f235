"""The whole answer, head and body, to a request that the application never sees."""

from __future__ import annotations

from collections.abc import Iterable

from backends.errors import BackendError
from openai_proxy.door import Door
from openai_proxy.errors import EdgeError, describe
from openai_proxy.logs import Access, write_access
from openai_proxy.outlet import rendered
from openai_proxy.request_id import request_id
from openai_proxy.wire import fault_headers, render_fault


def refusal(
    error: EdgeError | BackendError,
    head: Iterable[tuple[bytes, bytes]],
    default_headers: Iterable[tuple[bytes, bytes]],
    peer: str,
    door: Door,
) -> tuple[bytes, bytes]:
    """The answer to `error`, logged and counted. `head` is what was read of the request's headers."""
    identity = request_id(next((value for name, value in head if name == b"x-request-id"), None))
    fault = describe(error, identity)
    body = render_fault(fault)
    door.edge.metrics.http_requests.labels("other", "other", str(fault.status)).inc()
    write_access(Access(request_id=identity, peer=peer, status=fault.status, outcome=fault.code))
    headers = [
        *default_headers,
        *fault_headers(fault),
        (b"x-request-id", identity.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    return rendered(fault.status, headers), body
