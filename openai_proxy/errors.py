"""What can go wrong at the edge, and the one table: exception class -> status, type and code.

EdgeError
├── InvalidRequest          a field has a wrong value; `param` names it
│   ├── InvalidJson
│   ├── TooManyItems
│   ├── BadDocument
│   ├── UrlNotAllowed
│   │   └── UrlNotListed
│   └── UnknownParameter
├── BadHead                 the HTTP head is ambiguous
├── Unauthorized
│   ├── MissingKey
│   └── WrongAccount        a name or a password
│       └── MissingAccount
├── Forbidden
│   └── OriginNotAllowed
├── NotFound
│   ├── ModelNotFound
│   ├── JobNotFound
│   ├── CollectionNotFound
│   └── DocumentNotFound
├── MethodNotAllowed
├── WrongState
├── TooManyTries            wrong passwords
├── UnsupportedMediaType
├── RequestTimeout
├── RequestTooLarge
├── HeadersTooLarge
├── HostNotAllowed
├── LoopDetected
├── QueueFull
│   └── TooManyJobs
├── KeyReused               the idempotency key was used for something else
├── StoreFailed             jobs, files or documents cannot be kept
├── NotInstalled            it needs an extra
├── QueueTimeout
├── Draining
└── ClientGone               nobody is left to tell; for logs and metrics
    └── ClientSlow
"""

from __future__ import annotations

import logging
import math

from msgspec import Struct

from backends import errors as engine

log = logging.getLogger("openai_proxy.errors")


class EdgeError(Exception):
    """The request could not be served."""

    def __init__(
        self,
        message: str | None = None,
        *,
        param: str | None = None,
        retry_after: float | None = None,
        queue_position: int | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        self.message = message or type(self).__doc__ or ""
        self.param = param
        self.retry_after = retry_after
        self.queue_position = queue_position
        self.headers = headers
        super().__init__(self.message)


class InvalidRequest(EdgeError):
    """The request has a wrong value."""


class InvalidJson(InvalidRequest):
    """The body is not valid JSON."""


class TooManyItems(InvalidRequest):
    """The list is too long."""


class BadDocument(InvalidRequest):
    """The document cannot be read."""


class UrlNotAllowed(InvalidRequest):
    """Nothing is fetched from this address."""


class UrlNotListed(UrlNotAllowed):
    """Nothing is fetched from this host."""


class UnknownParameter(InvalidRequest):
    """The parameter is not known."""


class BadHead(EdgeError):
    """The request's head is malformed."""


class Unauthorized(EdgeError):
    """The API key is not valid."""


class MissingKey(Unauthorized):
    """No API key was given: send it as `Authorization: Bearer KEY`."""


class WrongAccount(Unauthorized):
    """The name or the password is not valid."""


class MissingAccount(WrongAccount):
    """An account is needed: send `user` as "name:password", or HTTP Basic."""


class Forbidden(EdgeError):
    """This key may not do that."""


class NotFound(EdgeError):
    """There is nothing at this path."""


class ModelNotFound(NotFound):
    """The model does not exist."""


class JobNotFound(NotFound):
    """There is no such job."""


class CollectionNotFound(NotFound):
    """There is no such collection of documents."""


class DocumentNotFound(NotFound):
    """There is no such document."""


class MethodNotAllowed(EdgeError):
    """This path does not take that method."""


class WrongState(EdgeError):
    """The model is not in a state in which that can be done."""


class TooManyTries(EdgeError):
    """Too many wrong passwords; try again later."""


class UnsupportedMediaType(EdgeError):
    """The body must be application/json, without a content coding."""


class RequestTimeout(EdgeError):
    """The request did not arrive in time."""


class RequestTooLarge(EdgeError):
    """The body is too large."""


class HeadersTooLarge(EdgeError):
    """The request's head is too large."""


class HostNotAllowed(EdgeError):
    """The Host header names no host of this server."""


class OriginNotAllowed(Forbidden):
    """This web origin may not call the server."""


class LoopDetected(EdgeError):
    """The request came from this server itself, or through too many others."""


class QueueFull(EdgeError):
    """The model's queue is full; try again soon."""


class TooManyJobs(QueueFull):
    """Too many of your jobs wait; try again when some are done."""


class KeyReused(EdgeError):
    """This Idempotency-Key was used for another request."""


class StoreFailed(EdgeError):
    """Jobs, files and documents cannot be kept or read at the moment."""

    def __init__(self, reason: str = "") -> None:
        super().__init__()
        self.reason = reason  # for the log alone: it may name hosts, paths and users

    def __str__(self) -> str:
        return self.reason or self.message


class NotInstalled(EdgeError):
    """What this needs is not installed here."""


class QueueTimeout(EdgeError):
    """The request waited too long for its turn; try again soon."""


class Draining(EdgeError):
    """The server is shutting down."""


class ClientGone(EdgeError):
    """The client closed the connection."""


class ClientSlow(ClientGone):
    """The client took nothing for too long."""


class Fault(Struct, frozen=True, kw_only=True):
    """An error as a client sees it: `status` and the four fields of OpenAI's error object.

    For whom no slot was free, `queue_position` is the place in the queue, counted from 1, and `estimated_wait` the
    seconds until its turn would probably have come.
    """

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    retry_after: int | None = None
    started: bool = False
    queue_position: int | None = None
    estimated_wait: float | None = None
    headers: tuple[tuple[bytes, bytes], ...] = ()


class Row(Struct, frozen=True):
    """One line of the table. `started`: work had begun, so that a client must not repeat it blindly."""

    status: int
    type: str
    code: str
    started: bool = False


INVALID = "invalid_request_error"

TABLE: dict[type[Exception], Row] = {
    InvalidRequest: Row(400, INVALID, "invalid_value"),
    InvalidJson: Row(400, INVALID, "invalid_json"),
    TooManyItems: Row(400, INVALID, "too_many_items"),
    BadDocument: Row(400, INVALID, "invalid_document"),
    UrlNotAllowed: Row(400, INVALID, "url_not_allowed"),
    UrlNotListed: Row(403, "permission_error", "url_not_allowed"),
    UnknownParameter: Row(400, INVALID, "unknown_parameter"),
    BadHead: Row(400, INVALID, "bad_request"),
    Unauthorized: Row(401, INVALID, "invalid_api_key"),
    MissingKey: Row(401, INVALID, "missing_api_key"),
    WrongAccount: Row(401, INVALID, "invalid_user"),
    MissingAccount: Row(401, INVALID, "missing_user"),
    Forbidden: Row(403, "permission_error", "insufficient_scope"),
    OriginNotAllowed: Row(403, "permission_error", "origin_not_allowed"),
    NotFound: Row(404, INVALID, "not_found"),
    ModelNotFound: Row(404, INVALID, "model_not_found"),
    JobNotFound: Row(404, INVALID, "job_not_found"),
    CollectionNotFound: Row(404, INVALID, "collection_not_found"),
    DocumentNotFound: Row(404, INVALID, "document_not_found"),
    MethodNotAllowed: Row(405, INVALID, "method_not_allowed"),
    WrongState: Row(409, INVALID, "wrong_state"),
    TooManyTries: Row(429, "rate_limit_error", "rate_limit_exceeded"),
    UnsupportedMediaType: Row(415, INVALID, "unsupported_media_type"),
    RequestTimeout: Row(408, "timeout_error", "request_timeout"),
    RequestTooLarge: Row(413, INVALID, "request_too_large"),
    HeadersTooLarge: Row(431, INVALID, "headers_too_large"),
    HostNotAllowed: Row(421, INVALID, "host_not_allowed"),
    LoopDetected: Row(508, "server_error", "loop_detected", started=True),
    QueueFull: Row(429, "rate_limit_error", "queue_full"),
    TooManyJobs: Row(429, "rate_limit_error", "too_many_jobs"),
    KeyReused: Row(409, INVALID, "idempotency_key_reused"),
    StoreFailed: Row(503, "server_error", "storage_unavailable"),
    NotInstalled: Row(501, "server_error", "not_installed", started=True),
    QueueTimeout: Row(503, "server_error", "overloaded"),
    Draining: Row(503, "server_error", "draining"),
    ClientGone: Row(499, INVALID, "client_gone"),
    ClientSlow: Row(499, INVALID, "client_slow"),
    EdgeError: Row(500, "server_error", "internal_error"),
    engine.Refused: Row(400, INVALID, "invalid_value"),
    engine.OtherKind: Row(400, INVALID, "unsupported_parameter"),
    engine.Unsupported: Row(400, INVALID, "unsupported_parameter"),
    engine.BadImage: Row(400, INVALID, "invalid_image"),
    engine.BadAudio: Row(400, INVALID, "invalid_audio"),
    engine.ContextExceeded: Row(400, INVALID, "context_length_exceeded"),
    engine.SchemaTooComplex: Row(400, INVALID, "schema_too_complex"),
    engine.LoadFailed: Row(503, "server_error", "engine_unavailable"),
    engine.Unavailable: Row(503, "server_error", "engine_unavailable"),
    engine.Overloaded: Row(503, "server_error", "overloaded"),
    engine.EngineTimeout: Row(504, "timeout_error", "upstream_timeout", started=True),
    engine.EngineFailed: Row(500, "server_error", "engine_failed", started=True),
    engine.BackendError: Row(500, "server_error", "engine_failed", started=True),
}

RETRIABLE = frozenset({429, 503})


def describe(error: BaseException, request_id: str) -> Fault:
    """The fault that a client sees. What is not in the table is a bug of ours: fixed text, nothing leaks."""
    if not isinstance(error, EdgeError | engine.BackendError):
        message = f"The server had an internal error (request {request_id})."
        return Fault(status=500, type="server_error", code="internal_error", message=message, started=True)
    if isinstance(error, engine.Rejected):
        return _passed_on(error)
    if isinstance(error, StoreFailed):
        log.warning("%s (request %s)", error, request_id)
    row = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    position, wait = (error.queue_position, error.retry_after) if isinstance(error, EdgeError) else (None, None)
    return Fault(
        status=row.status,
        type=row.type,
        code=row.code,
        message=error.message[:2000],
        param=error.param,
        retry_after=_whole_seconds(error) if row.status in RETRIABLE else None,
        started=row.started,
        queue_position=position,
        estimated_wait=None if position is None else wait,
        headers=error.headers if isinstance(error, EdgeError) else (),
    )


def _passed_on(error: engine.Rejected) -> Fault:
    """What another server answered."""
    wait = error.retry_after is not None or error.status in RETRIABLE
    return Fault(
        status=error.status,
        type=error.kind,
        code=error.code,
        message=error.message[:2000],
        param=error.param,
        retry_after=_whole_seconds(error) if wait else None,
        started=error.started,
    )


def _whole_seconds(error: EdgeError | engine.BackendError) -> int:
    seconds = getattr(error, "retry_after", None)
    return max(1, min(120, math.ceil(seconds if seconds is not None else 1.0)))
