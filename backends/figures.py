"""What an engine tells of itself beside its answers: numbers in Prometheus's terms, without its library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

Kind: TypeAlias = Literal["counter", "gauge", "histogram"]


class Sample(Struct, frozen=True):
    """One number. `suffix` follows the figure's name: "_total", "_bucket", "_sum", "_count", or nothing."""

    suffix: str
    labels: Mapping[str, str]
    value: float


class Figure(Struct, frozen=True):
    """Numbers of one name. A name with a colon is the engine's own and is shown as it is, with its own labels.

    Any other name is shown as ours, openai_proxy_OF_NAME, with the model as a label. Names hold their unit (seconds,
    tokens, ratio).
    """

    name: str
    kind: Kind
    text: str
    samples: Sequence[Sample]
    of: Literal["engine", "upstream"] = "engine"
