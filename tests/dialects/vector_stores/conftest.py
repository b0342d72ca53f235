"""A server with two users and an operator, and a web page that may be fetched."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.conftest import servers
from tests.dialects.vector_stores.people import ANN, BOB, OPS
from tests.running import Running

CONFIG = """
[server]
grace = 0.0
[models.echo]
backend = "echo"
[media]
fetch = true
schemes = ["http"]
ports = [{port}]
networks = ["127.0.0.0/8"]
"""


class Page(http.server.BaseHTTPRequestHandler):
    """A web page at every address."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<!doctype html><h1>Fetched</h1><p>A papaya from far away.")

    def log_message(self, *_: Any) -> None:
        """Nothing is told."""


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, web: int) -> Iterator[Running]:
    with servers(tmp_path_factory.mktemp("stores")) as start:
        names = f"ann={ANN},bob={BOB},ops:admin={OPS}"
        yield start(CONFIG.format(port=web), path="/livez", OPENAI_PROXY_KEYS=names)


@pytest.fixture
def ann(server: Running) -> Iterator[openai.OpenAI]:
    with server.client(api_key=ANN) as client:
        yield client


@pytest.fixture
def bob(server: Running) -> Iterator[openai.OpenAI]:
    with server.client(api_key=BOB) as client:
        yield client
