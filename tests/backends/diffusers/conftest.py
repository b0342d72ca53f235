"""One server with tiny pipelines, for all tests of theirs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.backends.conftest import checkpoint
from tests.conftest import servers
from tests.running import Running

LOADING = 300
# Of a picture that nobody waits for.
MANY = 900
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "draws": (
        "tiny-diffusion",
        {"steps": 4, "qualities": {"low": 3}, "max_steps": MANY, "largest": 256, "gather": 0.3, "strength": 0.6},
    ),
    "patches": ("tiny-flux", {"steps": 4, "max_steps": MANY, "size": "64x64", "call": {"true_cfg_scale": 2.0}}),
    "words": ("tiny-pixart", {"steps": 4, "sizes": ["64x64", "96x64"], "call": {"use_resolution_binning": False}}),
}


def configuration() -> str:
    """Each is loaded when it is first asked: not every file of tests needs all."""
    text = "[server]\ngrace = 0.0\n[timeouts]\nqueue = 200.0\n"
    for name, (made, options) in MODELS.items():
        text += f'[models.{name}]\nbackend = "diffusers"\nmodel = {json.dumps(checkpoint(made))}\nload = "request"\n'
        text += f"[models.{name}.options]\nthreads = 1\n"
        for option, value in options.items():
            table = isinstance(value, dict)
            shown = ", ".join(f"{key} = {json.dumps(each)}" for key, each in value.items()) if table else ""
            text += f"{option} = {f'{{ {shown} }}' if table else json.dumps(value)}\n"
    return text


@pytest.fixture(scope="session")
def artists(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The models `draws`, `patches` and `words`."""
    with servers(tmp_path_factory.mktemp("artists")) as start:
        yield start(configuration(), timeout=LOADING)


@pytest.fixture(scope="session")
def client(artists: Running) -> Iterator[openai.OpenAI]:
    with artists.client(timeout=LOADING) as opened:
        yield opened
