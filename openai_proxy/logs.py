"""Logs: one JSON object a line, or short lines for a person at a terminal.

Lines are written by a thread of their own, so that a slow or stuck reader of the log never holds up a request; when
too many wait, new ones are dropped and counted.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import BinaryIO

import msgspec
from msgspec import Struct

ACCESS = "openai_proxy.access"
LONGEST_PATH = 200
SECRET = re.compile(r"\bsk-[A-Za-z0-9_-]{8,}")
UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")
PACE = 0.05
MOST_WAITING = 10_000


class Access(Struct, omit_defaults=True, kw_only=True):
    """One finished exchange. `seconds` is its whole duration, `bytes` the length of a body sent whole."""

    request_id: str
    caller: str = ""
    key: str = ""
    peer: str = ""
    method: str = ""
    path: str = ""
    status: int = 0
    seconds: float = 0.0
    bytes: int | None = None
    model: str | None = None
    outcome: str = ""

    def __str__(self) -> str:
        who = f"{self.caller}({self.key})" if self.key else self.caller
        milliseconds = f"{self.seconds * 1000:.0f} ms"
        words = (self.method, self.path, self.status, milliseconds, self.model, who, self.outcome, self.request_id)
        return " ".join(str(word) for word in words if word)


class _Line(Struct, omit_defaults=True):
    time: str
    level: str
    logger: str
    worker: int | None = None
    message: str | None = None
    access: Access | None = None
    exception: str | None = None


class Writer:
    """Writes lines to a binary stream from a thread of its own.

    Where other processes write to the same stream too, `shared`, no line of up to 4 kB is mixed with theirs.
    """

    def __init__(self, stream: BinaryIO, *, shared: bool = False) -> None:
        self._stream = stream
        self._shared = shared
        self._waiting: deque[bytes | Callable[[], bytes]] = deque()
        self._dropped = 0
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="logs", daemon=True)
        self._thread.start()

    def write(self, line: bytes | Callable[[], bytes]) -> None:
        """Queue one line, newline included, or what makes it: many at a time are made for less. Never blocks."""
        if len(self._waiting) >= MOST_WAITING:
            self._dropped += 1
            return
        self._waiting.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout: float = 1.0) -> None:
        """Write what waits, for at most `timeout` seconds."""
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wake.wait()
            self._wake.clear()
            self._flush()
            self._closing.wait(PACE)
        self._flush()

    def _flush(self) -> None:
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        lines = [line if isinstance(line, bytes) else line() for line in waiting]
        if self._dropped:
            lines.append(b'{"level":"warning","message":"%d log lines were dropped"}\n' % self._dropped)
            self._dropped = 0
        try:
            for piece in _pieces(lines) if self._shared else (b"".join(lines),):
                self._stream.write(piece)
                self._stream.flush()
        except (OSError, ValueError):
            # Nobody reads the log any more: there is no place left to say so.
            self._closing.set()


def _pieces(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines in pieces that a pipe takes whole, or alone where one is longer."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > select.PIPE_BUF:
            yield piece
            piece = b""
        piece += line
    yield piece


class Direct:
    """Writes lines at once, for a process that forks and so may have no threads. What finds no room is lost."""

    def __init__(self, stream: BinaryIO) -> None:
        self._descriptor = stream.fileno()
        self._room = select.poll()
        self._room.register(self._descriptor, select.POLLOUT)

    def write(self, line: bytes | Callable[[], bytes]) -> None:
        data = line if isinstance(line, bytes) else line()
        with contextlib.suppress(OSError):
            for begin in range(0, len(data), select.PIPE_BUF):
                if self._room.poll(0):
                    os.write(self._descriptor, data[begin : begin + select.PIPE_BUF])


class LineHandler(logging.Handler):
    """Renders log records as lines; with the number of the `worker` where there are several."""

    def __init__(self, writer: Writer | Direct, *, human: bool, worker: int | None = None) -> None:
        super().__init__()
        self.writer = writer
        self.human = human
        self.worker = worker
        self._before = "" if worker is None else f"[{worker}] "
        self._stamp = (0, "")

    def access(self, access: Access) -> None:
        """Write the line of one exchange, without the cost of a log record."""
        self.writer.write(partial(self._access, time.time(), access))

    def _access(self, now: float, access: Access) -> bytes:
        access.seconds = round(access.seconds, 6)
        if self.human:
            return _short(now, "info", f"{self._before}{access}", None)
        return msgspec.json.encode(_Line(self._time(now), "info", ACCESS, self.worker, access=access)) + b"\n"

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.writer.write(self._human(record) if self.human else self._json(record))
        except (TypeError, ValueError):
            self.handleError(record)

    def _json(self, record: logging.LogRecord) -> bytes:
        line = _Line(self._time(record.created), record.levelname.lower(), record.name, self.worker)
        line.message = redact(record.getMessage())
        line.exception = self._exception(record)
        return msgspec.json.encode(line) + b"\n"

    def _human(self, record: logging.LogRecord) -> bytes:
        message = self._before + record.getMessage()
        return _short(record.created, record.levelname.lower(), message, self._exception(record))

    def _exception(self, record: logging.LogRecord) -> str | None:
        if not record.exc_info:
            return None
        text = logging.Formatter().formatException(record.exc_info)
        return redact(UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)) + "\n"

    def _time(self, now: float) -> str:
        second = int(now)
        stamp = self._stamp  # read once: two threads come here
        if second != stamp[0]:
            stamp = self._stamp = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
        return f"{stamp[1]}.{int((now - second) * 1000):03d}Z"


def _short(now: float, level: str, message: str, exception: str | None) -> bytes:
    clock = time.strftime("%H:%M:%S", time.localtime(now))
    text = redact(f"{clock} {level:7} {message}").replace("\n", "\\n")
    text = UNPRINTABLE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return f"{text}\n{exception or ''}".encode("utf-8", "backslashreplace")


def write_access(access: Access) -> None:
    """Write the line of one exchange to the log, if `start` began one."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LineHandler):
            handler.access(access)


def start(*, human: bool | None = None, worker: int | None = None) -> Writer:
    """Send every log of this process to standard error; close the writer at the end.

    `human` chooses short lines instead of JSON; by default they are used at a terminal. `worker` is the number of this
    process where there are several.
    """
    writer = Writer(sys.stderr.buffer, shared=worker is not None)
    _lead(LineHandler(writer, human=sys.stderr.isatty() if human is None else human, worker=worker))
    return writer


def start_direct(*, human: bool | None = None) -> None:
    """The same without a thread, for few lines."""
    _lead(LineHandler(Direct(sys.stderr.buffer), human=sys.stderr.isatty() if human is None else human))


def _lead(handler: LineHandler) -> None:
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # Its lines at "info" retell the life of the process, which `server` tells in our own words.
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    logging.captureWarnings(capture=True)
    # What a record would find out about its process and thread, which no line of ours says, costs a microsecond.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def redact(text: str) -> str:
    """The text without anything that looks like one of our keys."""
    return SECRET.sub("sk-[redacted]", text) if "sk-" in text else text


def shown_path(path: str, query: bytes) -> str:
    """A path for the log: bounded, without the query, which may hold a secret, and nothing that looks like a key."""
    shown = redact(path if len(path) <= LONGEST_PATH else path[:LONGEST_PATH] + "...")
    return f"{shown}?[redacted]" if query else shown
