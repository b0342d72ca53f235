"""What vLLM says of its load: two gauges out of the text of its /metrics."""

from __future__ import annotations

import re

from msgspec import Struct

# The second name is that of vLLM before 0.11.
WAITING = re.compile(rb"^vllm:num_requests_waiting(?:\{[^\n]*\})? (\S+)", re.MULTILINE)
CACHE = re.compile(rb"^vllm:(?:kv|gpu)_cache_usage_perc(?:\{[^\n]*\})? (\S+)", re.MULTILINE)
FULL = 0.95


class Report(Struct, frozen=True):
    """`waiting` requests wait inside the engine; `cache` is the share of its KV cache in use, 0 to 1."""

    waiting: int = 0
    cache: float = 0.0

    @property
    def full(self) -> bool:
        """One more prompt would only wait there, or push another one out."""
        return self.waiting > 0 and self.cache >= FULL


def read_report(text: bytes) -> Report:
    """The sum of all engines' waiting requests and the fullest cache; zeros where an upstream tells nothing."""
    waiting = sum(_numbers(WAITING.findall(text)))
    return Report(int(waiting), min(1.0, max(_numbers(CACHE.findall(text)), default=0.0)))


def _numbers(found: list[bytes]) -> list[float]:
    numbers = []
    for each in found:
        try:
            number = float(each)
        except ValueError:
            continue
        if 0 <= number < 1e9:  # neither NaN
            numbers.append(number)
    return numbers
