"""The log: one JSON object a line, or short lines, and no caller that waits for it."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
import threading
import time

import pytest

from openai_proxy import logs
from openai_proxy.logs import MOST_WAITING, Access, LineHandler, Writer, shown_path, write_access

SECRET = "sk-0123456789abcdef"


@pytest.fixture
def logger() -> logging.Logger:
    """A logger outside of the tree, which pytest does not listen to: not every report can carry lone surrogates."""
    return logging.Logger("openai_proxy.test_logs", logging.INFO)


def written(logger: logging.Logger, human: bool, message: str, **options: bool) -> str:
    stream = io.BytesIO()
    writer = Writer(stream)
    logger.addHandler(LineHandler(writer, human=human))
    logger.info(message, **options)  # type: ignore[arg-type]
    writer.close()
    return stream.getvalue().decode()


def test_json_is_one_line_with_control_characters_escaped(logger: logging.Logger) -> None:
    text = written(logger, False, f"a\nb\x1b[31m\x00 {SECRET}")
    assert text.count("\n") == 1
    assert "\x1b" not in text
    line = json.loads(text)
    assert line["message"] == "a\nb\x1b[31m\x00 sk-[redacted]"
    assert (line["level"], line["logger"]) == ("info", "openai_proxy.test_logs")
    assert len(line["time"]) == len("2026-01-01T00:00:00.000Z")


def test_short_lines_escape_control_characters(logger: logging.Logger) -> None:
    text = written(logger, True, f"a\nb\x1b[31m\x9b {SECRET}\ud800")
    assert text.count("\n") == 1
    assert text.endswith("info    a\\nb\\x1b[31m\\x9b sk-[redacted]\\ud800\n")


@pytest.mark.parametrize("human", [True, False])
def test_an_exception_has_its_traceback_without_the_key(logger: logging.Logger, human: bool) -> None:
    try:
        raise ValueError(SECRET)
    except ValueError:
        text = written(logger, human, "it failed", exc_info=True)
    assert "ValueError: sk-[redacted]" in text
    assert "Traceback" in text


def test_a_message_that_cannot_be_made_is_not_the_end(logger: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    stream = io.BytesIO()
    writer = Writer(stream)
    logger.addHandler(LineHandler(writer, human=False))
    logger.info("%d", "x")
    logger.info("next")
    writer.close()
    assert stream.getvalue().count(b"\n") == 1


@pytest.mark.parametrize("human", [True, False])
def test_an_access_line(monkeypatch: pytest.MonkeyPatch, human: bool) -> None:
    stream = io.BytesIO()
    writer = Writer(stream)
    monkeypatch.setattr(logging.getLogger(), "handlers", [LineHandler(writer, human=human)])
    access = Access(request_id="r", caller="alice", key="cdef", method="GET", path="/\n", status=200, outcome="ok")
    write_access(access)
    writer.close()
    text = stream.getvalue().decode()
    assert text.count("\n") == 1
    if human:
        assert text.endswith("GET /\\n 200 0 ms alice(cdef) ok r\n")
    else:
        assert json.loads(text)["access"]["caller"] == "alice"


def test_a_stuck_reader_holds_nobody_up_and_lines_are_dropped_and_counted() -> None:
    reading, writing = os.pipe()
    writer = Writer(os.fdopen(writing, "wb"))
    began = time.monotonic()
    for _ in range(3):
        for _ in range(MOST_WAITING):
            writer.write(b"a" * 99 + b"\n")
        time.sleep(0.1)
    assert time.monotonic() - began < 5
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.extend(iter(lambda: os.read(reading, 1 << 20), b"")))
    reader.start()
    writer.close(5)
    writer._stream.close()
    reader.join()
    os.close(reading)
    assert b"log lines were dropped" in b"".join(received)


def test_a_reader_that_is_gone_ends_the_writing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    stream = os.fdopen(writing, "wb", buffering=0)
    writer = Writer(stream)
    writer.write(b"a\n")
    writer._thread.join(2)
    assert not writer._thread.is_alive()
    stream.close()


def test_start_takes_over_the_loggers(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    stream = io.BytesIO()
    monkeypatch.setattr(root, "handlers", [])
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(stream))
    level = root.level
    writer = logs.start()
    logging.getLogger("uvicorn.error").warning("hello")
    logging.getLogger("uvicorn.error").info("not this")
    writer.close()
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == ["hello"]


def test_paths() -> None:
    assert shown_path("/v1/models", b"") == "/v1/models"
    assert shown_path("/v1/models", b"api_key=secret") == "/v1/models?[redacted]"
    assert shown_path(f"/{SECRET}", b"") == "/sk-[redacted]"
    assert len(shown_path("/" + "a" * 9000, b"")) == 203
