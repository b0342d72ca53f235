"""A web server for tests that have something fetched."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar


class Page(http.server.BaseHTTPRequestHandler):
    """A web page at every address. `asked` are those that somebody asked for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<!doctype html><h1>Fetched</h1><p>A papaya from far away.")

    def log_message(self, *_: Any) -> None:
        """Nothing is told."""


@contextmanager
def pages() -> Iterator[int]:
    """The port of a server of pages."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def may_fetch(port: int) -> str:
    """The settings with which what lies there may be fetched."""
    return f'\n[media]\nfetch = true\nschemes = ["http"]\nports = [{port}]\nnetworks = ["127.0.0.0/8"]\n'
