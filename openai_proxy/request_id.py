"""Request ids: a client's own when it is harmless in a header and a log, else a random one."""

from __future__ import annotations

import random
import re

ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,128}").fullmatch


def request_id(offered: bytes | None = None) -> str:
    """The id to use for a request whose X-Request-Id is `offered`."""
    if offered is not None and ACCEPTED(offered):
        return offered.decode("ascii")
    return f"req_{random.getrandbits(128):032x}"
