"""One server that draws, for all tests of the backend."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.conftest import servers

CONFIG = '[models.emoji]\nbackend = "emoji"\naliases = ["dall-e-3"]\n'


@pytest.fixture(scope="package")
def artist(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    with servers(tmp_path_factory.mktemp("emoji")) as start, start(CONFIG, timeout=60).client() as client:
        yield client
