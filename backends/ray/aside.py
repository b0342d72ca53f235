"""Blocking calls beside the event loop, in threads that keep nobody waiting: a cluster may never answer."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def aside(call: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
    """What a blocking call will return or raise. Canceled, it goes on alone; the process can end without it."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def tell(result: T | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)  # type: ignore[arg-type]  # None only if T is

    def work() -> None:
        result, error = None, None
        try:
            result = call(*arguments)
        except Exception as raised:  # noqa: BLE001 - it is told to whoever waits
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=work, daemon=True, name="ray").start()
    return answer
