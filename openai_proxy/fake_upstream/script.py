"""What an answer looks like: the script, from flags, from `POST /fake/script` or from a request's own header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from openai_proxy.fake_upstream.faults import NONE, Fault, fault

Seconds = Annotated[float, Meta(ge=0, le=86400)]
Amount = Annotated[int, Meta(ge=0, le=10_000_000)]
Positive = Annotated[int, Meta(ge=1, le=10_000_000)]
# In place of a chunk's number: the chunk of the fault "huge-chunk". Also its length.
HUGE = 10_000_001


class Script(Struct, frozen=True, forbid_unknown_fields=True):
    """How to answer. Times are seconds.

    `chunks` of `size` characters, `delay` apart and `batch` of them a write, or `text` cut into pieces of `size`.
    `latency` comes before every answer, `first` before the head of a model's, `pause` between that and the first chunk.
    `calls`: how many of the offered tools to call. `dimensions`: of embeddings that name none.
    The fault hits the requests that a model answers, each `fault_every`th of them or the share `fault_rate`, evenly
    spread; with `probes` also `GET /v1/models`, `/health` and `/metrics`.
    `retry_after` goes with 429 and 503, `code` and `message` into error bodies, `headers` into every head.
    `health` is the status of `GET /health`, `gauges` are values of `/metrics` that shall not be the true ones.
    `listed`: the entries of `GET /v1/models`, if not the models', each with an `id`.
    `sound`: the media type that speech is said to have; it then never comes as events.
    `slots`: as many requests are answered at a time, the others wait. `close`: no connection serves twice.
    `down`: at once, close the port and all connections, and come back so much later.
    """

    chunks: Amount = 16
    size: Positive = 8
    text: str | None = None
    delay: Seconds = 0.0
    batch: Positive = 1
    latency: Seconds = 0.0
    first: Seconds = 0.0
    pause: Seconds = 0.0
    calls: Annotated[int, Meta(ge=0, le=128)] = 0
    dimensions: Positive = 8
    fault: str | None = None
    fault_every: Positive = 1
    fault_rate: Annotated[float, Meta(ge=0, le=1)] | None = None
    probes: bool = False
    retry_after: Seconds | None = 1.0
    code: str | None = None
    message: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    health: Annotated[int, Meta(ge=200, le=599)] = 200
    gauges: dict[str, float] = field(default_factory=dict)
    listed: list[dict[str, Any]] | None = None
    sound: str | None = None
    slots: Positive = 1_000_000
    close: bool = False
    down: Seconds | None = None

    def __post_init__(self) -> None:
        fault(self.fault)
        for name, value in self.headers.items():
            if not name.isascii() or any(each in "\r\n" for each in name + value):
                raise ValueError("headers must be single lines")

    def strikes(self, number: int) -> bool:
        """Whether the fault hits the `number`th request, counted from 1."""
        if self.fault_rate is not None:
            return int(number * self.fault_rate) > int((number - 1) * self.fault_rate)
        return number % self.fault_every == 0

    def active(self, number: int) -> Fault:
        """The fault that hits this request, or NONE."""
        return fault(self.fault) if self.fault and self.strikes(number) else NONE

    def piece(self, number: int) -> str:
        """The text of a chunk, counted from 0: its number with zeros before it and a blank behind it."""
        if number == HUGE:
            return "a" * HUGE
        if self.text is not None:
            return self.text[number * self.size : (number + 1) * self.size]
        return f"{number:0{self.size - 1}d} "[-self.size :] if self.size > 1 else " "

    @property
    def pieces(self) -> int:
        return self.chunks if self.text is None else -(-len(self.text) // self.size)


def changed(script: Script, values: Mapping[str, Any], *, strict: bool = True) -> Script:
    """The script with these values instead; not `strict`: from texts. Raises ValueError."""
    kept = {name: getattr(script, name) for name in script.__struct_fields__}
    try:
        return msgspec.convert({**kept, **values}, Script, strict=strict)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def _json(text: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def of_header(script: Script, text: str) -> Script:
    """The script of a request with a header `x-fake: chunks=10,delay=0.02`, or of JSON. Raises ValueError.

    A fault that is named here hits this request, however many others the default one spares.
    """
    if text.startswith("{"):
        values, strict = _json(text), True
    else:
        pairs = (part.partition("=") for part in text.split(",") if part.strip())
        values, strict = {name.strip(): value.strip() or None for name, _, value in pairs}, False
    if "fault" in values:
        values = {"fault_every": 1, "fault_rate": None, **values}
    return changed(script, values, strict=strict)
