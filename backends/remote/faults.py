"""What a server's error answer means to the client of this one: its status and words, without its secrets.

Source: https://platform.openai.com/docs/guides/error-codes, and what vLLM's and llama.cpp's servers send beside it; for
`detail` https://fastapi.tiangolo.com/tutorial/handling-errors/.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from backends.errors import BackendError, Busy, ContextExceeded, EngineFailed, Rejected

Hide: TypeAlias = Callable[[str], str]

LONGEST = 2000
LONGEST_PARAM = 200
MOST_FAULTS = 8
LONGEST_WAIT = 120.0
# An address, or what looks like a key: a client need not know where this server asks, nor with what.
ADDRESS = re.compile(
    r"\b(?:[a-z][a-z0-9+.-]*://[^\s'\"<>)]+|(?:\d{1,3}\.){3}\d{1,3}(?::\d+)?|localhost:\d+"
    r"|(?:[a-z0-9-]+\.)+[a-z][a-z0-9-]*:\d{2,5}\b)|\[[0-9a-f]*:[0-9a-f:.]+\](?::\d+)?",
    re.IGNORECASE,
)
# A file of that machine, under one of the usual folders or by the end of its name. JSON pointers and routes are none.
FILE = re.compile(
    r"(?<![\w./~-])(?:~|/(?:home|root|usr|opt|var|tmp|etc|srv|mnt|media|data|apps?|workspaces?|Users|private|proc|dev|lib)"
    r"|/[\w.@+-]+(?=/[\w.@+/-]*\.(?:py|so|json|jinja|gguf|safetensors|bin|pt|txt|log|sock|ya?ml)\b))"
    r"(?:/[\w.@+~-]+)+|\b[A-Za-z]:\\[^\s'\"<>|]+"
)
INTERNAL = re.compile(
    r"\b(?:[a-z0-9-]+\.)+(?:internal|local|localdomain|lan|corp|intranet|svc)\b(?::\d+)?", re.IGNORECASE
)
KEY = re.compile(
    r"\b(?:sk|pk|key|token|xai)-[\w*.-]{6,}|\b(?:hf|gsk|ghp|gho)_\w{10,}|\b(?:AKIA|AIza)[\w-]{12,}|\bBearer\s+\S+",
    re.IGNORECASE,
)
# What a field of a request is called by, in all likelihood.
FIELD = re.compile(r"[\w.\[\]-]{1,200}", re.ASCII)

KINDS: Mapping[int, tuple[str, str]] = {
    400: ("invalid_request_error", "invalid_value"),
    403: ("permission_error", "forbidden"),
    404: ("invalid_request_error", "not_found"),
    408: ("timeout_error", "request_timeout"),
    409: ("invalid_request_error", "conflict"),
    413: ("invalid_request_error", "request_too_large"),
    415: ("invalid_request_error", "unsupported_media_type"),
    422: ("invalid_request_error", "invalid_value"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("server_error", "overloaded"),
    504: ("timeout_error", "upstream_timeout"),
}
OURS = frozenset({"invalid_request_error", "rate_limit_error", "server_error", "timeout_error", "permission_error"})
# By these a server says that a prompt is too long: OpenAI, llama.cpp; and vLLM, by the name of a field.
TOO_LONG = frozenset({"context_length_exceeded", "exceed_context_size_error"})
TOO_LONG_PARAM = "input_text"
# This server's own key: nothing that the client could mend. 403 is no such thing: some answer it to a prompt.
KEYS = frozenset({401, 407})
# Work was not begun: the server had no room for it.
BUSY = frozenset({429, 503})


class Problem(Struct, frozen=True):
    """The `error` object, as various servers fill it."""

    message: str = ""
    type: str | None = None
    code: str | int | None = None
    param: str | None = None


def told(body: bytes) -> Problem:
    """What an error answer says; nothing for pages and other things that are not JSON."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Problem()
    if not isinstance(found, dict):
        return Problem()
    inner: Any = found.get("error", found.get("detail", found))
    if isinstance(inner, list):
        return _listed(inner)
    if isinstance(inner, str):
        return Problem(inner)
    if not isinstance(inner, dict):
        return Problem()
    texts = {name: value for name, value in inner.items() if isinstance(value, str)}
    code = inner.get("code")
    return Problem(
        texts.get("message") or texts.get("detail", ""),
        texts.get("type"),
        code if isinstance(code, str | int) else None,
        texts.get("param"),
    )


def _listed(faults: list[Any]) -> Problem:
    """What FastAPI says of a body that does not fit, field by field; `input` is the client's own and left out."""
    told = [(_place(each.get("loc")), each["msg"]) for each in faults if isinstance(each, dict) and _worded(each)]
    words = [f"{place}: {said}" if place else said for place, said in told]
    return Problem("; ".join(words[:MOST_FAULTS]), param=next((place for place, _ in told if place), None))


def _worded(fault: dict[str, Any]) -> bool:
    return isinstance(fault.get("msg"), str)


def _place(path: Any) -> str:
    """ "messages.0.content" for ["body", "messages", 0, "content"]; nothing for a place in the text of the body."""
    if not isinstance(path, list) or not all(isinstance(each, str | int) for each in path):
        return ""
    inside = path[1:] if path[:1] in (["body"], ["query"], ["header"], ["path"]) else path
    return "" if inside and isinstance(inside[0], int) else ".".join(map(str, inside))[:LONGEST_PARAM]


def fault(status: int, body: bytes, headers: Mapping[bytes, bytes], hide: Hide = str) -> BackendError:
    """The error to raise for an answer that is not 2xx."""
    problem = told(body)
    if status in KEYS:
        message = "The server behind this model does not accept this server's key."
        return Rejected(message, status=502, kind="server_error", code="upstream_unauthorized")
    if not 400 <= status <= 599:
        return EngineFailed(f"The server behind this model answered with status {status}.")
    message = clean(problem.message, hide) or f"The server behind this model answered with status {status}."
    if problem.code in TOO_LONG or problem.type in TOO_LONG or (status == 400 and problem.param == TOO_LONG_PARAM):
        return ContextExceeded(message)
    kind, code = KINDS.get(status, KINDS[400] if status < 500 else ("server_error", "engine_failed"))
    rejected = Busy if status in BUSY else Rejected
    return rejected(
        message,
        status=status,
        kind=problem.type if problem.type in OURS else kind,
        code=problem.code if isinstance(problem.code, str) and problem.code.isidentifier() else code,
        param=_field(problem.param, hide),
        retry_after=retry_after(headers),
        started=status >= 500 and rejected is not Busy,
    )


def _field(param: str | None, hide: Hide) -> str | None:
    """The field that a server complains of, if that is what it names."""
    named = (param or "").removeprefix("body.")
    return named if FIELD.fullmatch(named) and clean(named, hide) == named else None


def fault_in_stream(event: bytes, hide: Hide = str) -> BackendError:
    """The error to raise for an error that came as an event."""
    problem = told(event)
    code = problem.code
    status = code if isinstance(code, int) and 400 <= code <= 599 else 500
    return fault(status, event, {}, hide)


def clean(message: str, hide: Hide = str) -> str:
    """A server's words without addresses, keys and paths of files, and of bounded length.

    `hide` knows the key that it was sent.
    """
    shown = INTERNAL.sub("[address]", ADDRESS.sub("[address]", hide(message)))
    return FILE.sub("[file]", KEY.sub("[key]", shown)).strip()[:LONGEST]


def retry_after(headers: Mapping[bytes, bytes], now: float | None = None) -> float | None:
    """Seconds to wait, as the header of that name says (RFC 9110, section 10.2.3); None if it does not."""
    given = headers.get(b"retry-after", b"").decode("latin-1").strip()
    if given.isascii() and given.isdigit():
        return min(float(given[:9]), LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(given).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0.0, min(moment - (time.time() if now is None else now), LONGEST_WAIT))
