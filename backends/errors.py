"""What can go wrong below the edge. The class docstring is the default message; only the edge knows statuses.

BackendError
├── Refused                 the request can never succeed here; `param` names the field
│   ├── OtherKind           this model answers other kinds of requests
│   ├── Unsupported         this engine cannot do what the field asks
│   ├── BadImage            a picture that cannot be read, or is too large
│   ├── BadAudio            a sound that cannot be read, or is too long
│   ├── ContextExceeded     prompt and answer do not fit the model's context
│   └── SchemaTooComplex    a schema, grammar or pattern costs too much to compile
├── LoadFailed              the engine could not be loaded: no request sees it
├── Unavailable             never started: the engine loads, restarts or is gone; safe to try again
├── Rejected                another server answered with an error of its own
│   └── Busy                never started: it had no room
├── Overloaded              never started: no room for this request now
├── EngineTimeout           work was started and the engine went silent
└── EngineFailed            work was started and the engine broke
"""

from __future__ import annotations

# A task is canceled with this word when its engine was given up, not when its client left.
SILENT = "the engine was silent for too long"


class BackendError(Exception):
    """The engine could not answer."""

    def __init__(self, message: str | None = None, *, param: str | None = None) -> None:
        self.message = message or type(self).__doc__ or ""
        self.param = param
        super().__init__(self.message)


class Refused(BackendError):
    """The request has a value that the model does not take."""


class OtherKind(Refused):
    """This model does not answer requests of this kind."""

    def __init__(self, message: str | None = None, *, param: str | None = "model") -> None:
        super().__init__(message, param=param)


class Unsupported(Refused):
    """The model does not support this parameter."""


class BadImage(Refused):
    """The picture cannot be read."""


class BadAudio(Refused):
    """The sound cannot be read."""


class ContextExceeded(Refused):
    """The prompt and the answer asked for are longer than the model's context."""


class SchemaTooComplex(Refused):
    """The schema, grammar or pattern is too complex."""


class LoadFailed(BackendError):
    """The engine could not load its model."""


class Unavailable(BackendError):
    """The engine of this model is not running; try again soon."""

    def __init__(self, message: str | None = None, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Rejected(BackendError):
    """The server behind this one refused the request.

    `status`, `kind` and `code` are what it said, in OpenAI's terms; `started`: it may have worked on the request.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        kind: str,
        code: str,
        param: str | None = None,
        retry_after: float | None = None,
        started: bool = False,
    ) -> None:
        super().__init__(message, param=param)
        self.status = status
        self.kind = kind
        self.code = code
        self.retry_after = retry_after
        self.started = started


class Busy(Rejected):
    """The server behind this one had no room for the request, and did not begin."""


class Overloaded(BackendError):
    """The server has no room for this request now; try again soon."""

    def __init__(self, message: str | None = None, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class EngineTimeout(BackendError):
    """The engine did not answer in time."""


class EngineFailed(BackendError):
    """The engine failed while it worked on this request."""
