"""Two servers for all tests of the dialect: one for everybody, and one with keys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import servers
from tests.running import Running

ALICE, BOB, ADMIN = "sk-alice-0123456789abcdef", "sk-bob-0123456789abcdefgh", "sk-admin-0123456789abcdef"
SETTINGS = """\
[server]
grace = 0.0
drain = 1.0

[jobs]
database = "memory"
"""
OPEN = """
[models."Org/Echo-1.5"]
backend = "echo"

[models.slow]
backend = "echo"
slots = 1
options = { delay = 0.02, chunks = 30, size = 4 }

[models.stalled]
backend = "echo"
slots = 2
options = { stall = true, after = 2, chunks = 20, size = 4 }

[models.held]
backend = "echo"
slots = 2
options = { stall = true, after = 2, chunks = 20, size = 4 }

[models.broken]
backend = "echo"
options = { fail = "late", after = 2 }

[aime.endpoints.llama2_chat]
model = "Org/Echo-1.5"
title = "A chat"
description = "Says it again"
category = "talk"
version = 3

[aime.endpoints.writer]
model = "Org/Echo-1.5"
kind = "completion"

[aime.endpoints.painter]
model = "Org/Echo-1.5"
kind = "image"

[aime.endpoints.speaker]
model = "Org/Echo-1.5"
kind = "speech"

[aime.endpoints.listener]
model = "Org/Echo-1.5"
kind = "transcription"

[aime.endpoints.vectors]
model = "Org/Echo-1.5"
kind = "embedding"
"""
LOCKED = """
[models."Org/Echo-1.5"]
backend = "echo"

[models.gone]
backend = "echo"

[aime.endpoints.private]
model = "Org/Echo-1.5"
keys = ["alice"]

[aime.endpoints.public]
model = "Org/Echo-1.5"
"""


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that asks for no key."""
    with servers(tmp_path_factory.mktemp("aime")) as start:
        yield start(SETTINGS + OPEN)


@pytest.fixture(scope="session")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with keys."""
    keys = f"alice={ALICE},bob={BOB},ops:admin={ADMIN}"
    with servers(tmp_path_factory.mktemp("aime-locked")) as start:
        yield start(SETTINGS + LOCKED, path="/livez", OPENAI_PROXY_KEYS=keys)
