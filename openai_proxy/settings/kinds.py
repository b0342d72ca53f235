"""What values of settings may be. Times are in seconds, sizes in bytes."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

Seconds = Annotated[float, Meta(gt=0, le=604_800)]
Count = Annotated[int, Meta(ge=1, le=10**12)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Address = Annotated[str, Meta(pattern="^0x[0-9a-fA-F]{40}$")]
# Off, on at its own paths, or below this one.
Place = bool | Annotated[str, Meta(pattern="^(/[A-Za-z0-9._-]+)+$")]
