"""A real engine on the cluster behind a whole server."""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.conftest import Serve

PLACES = {"home": "OPENAI_PROXY_HOME", "wheels": "OPENAI_PROXY_WHEELS"}
QUESTION: Any = [{"role": "user", "content": "What is the capital of France?"}]

pytestmark = [pytest.mark.ray, pytest.mark.engine]


def test_llama_cpp_streams_and_obeys_a_schema(ray_address: str, serve: Serve) -> None:
    places = "".join(f", {option} = '{os.environ[name]}'" for option, name in PLACES.items() if name in os.environ)
    server = serve(
        f"""
[server]
grace = 0.0

[models.small]
backend = "ray"
slots = 4

[models.small.options]
backend = "llama_cpp"
replicas = 2
cpus = 0.5
address = "{ray_address}"
options = {{ weights = "smollm2-135m-instruct", threads = 1{places} }}
""",
        timeout=240,
    )
    with server.client() as client:
        whole = client.chat.completions.create(model="small", messages=QUESTION, temperature=0, max_tokens=12)
        stream = client.chat.completions.create(
            model="small", messages=QUESTION, stream=True, temperature=0, max_tokens=12
        )
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
        forced = client.chat.completions.create(
            model="small", messages=QUESTION, max_tokens=20, extra_body={"choice": ["Paris", "Rome"]}
        )
        model = client.models.retrieve("small").model_dump()
    assert "".join(pieces) == whole.choices[0].message.content
    assert len([piece for piece in pieces if piece]) > 3
    assert forced.choices[0].message.content in ("Paris", "Rome")
    assert model["context_length"] == 2048
