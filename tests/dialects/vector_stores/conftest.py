"""A server with two users and an operator, and a web page that may be fetched."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.conftest import servers
from tests.dialects.vector_stores.people import ANN, BOB, OPS
from tests.pages import may_fetch, pages
from tests.running import Running

CONFIG = """
[server]
grace = 0.0
[models.echo]
backend = "echo"
"""


@pytest.fixture(scope="module")
def web() -> Iterator[int]:
    with pages() as port:
        yield port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, web: int) -> Iterator[Running]:
    with servers(tmp_path_factory.mktemp("stores")) as start:
        names = f"ann={ANN},bob={BOB},ops:admin={OPS}"
        yield start(CONFIG + may_fetch(web), path="/livez", OPENAI_PROXY_KEYS=names)


@pytest.fixture
def ann(server: Running) -> Iterator[openai.OpenAI]:
    with server.client(api_key=ANN) as client:
        yield client


@pytest.fixture
def bob(server: Running) -> Iterator[openai.OpenAI]:
    with server.client(api_key=BOB) as client:
        yield client
