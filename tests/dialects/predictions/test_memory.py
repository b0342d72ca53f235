"""What is kept in memory of predictions that have ended."""

from __future__ import annotations

import re
from pathlib import Path

from tests.dialects.predictions.calls import RUN, post
from tests.running import Running

BODY = b'{"model": "echo", "input": {"prompt": "a", "other": "' + bytes([120]) * 8_000_000 + b'"}}'


def memory(server: Running) -> int:
    """Bytes."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) * 1000


def test_what_was_large_is_not_kept_in_memory(predicting: Running) -> None:
    for _ in range(3):
        assert post(predicting, RUN, BODY).status == 200
    before = memory(predicting)
    for _ in range(8):
        assert post(predicting, RUN, BODY).status == 200
    assert memory(predicting) - before < 40_000_000
