"""Tables of the configuration -> the struct of a backend's options, with the nearest name for one that is unknown."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

S = TypeVar("S", bound=Struct)


def read_options(kind: type[S], place: str, backend: str, table: Mapping[str, Any]) -> S:
    """The table as `kind`. Raises ValueError with one clear sentence, which begins with the `place`."""
    fields = kind.__struct_fields__
    for key in table:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(fields)}"
            raise ValueError(f"{place}: {backend} has no option {key!r}; {hint}")
    try:
        return msgspec.convert(dict(table), kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{place}: {error}") from error
