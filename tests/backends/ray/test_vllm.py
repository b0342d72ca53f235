"""vLLM in a replica: its streams, its grammar, and what is left when it dies."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.backends.conftest import CHAT_ENGINE, checkpoint
from tests.backends.vllm.conftest import LOADING
from tests.conftest import Serve

QUESTION: Any = [{"role": "user", "content": "Hello!"}]
SCHEMA = {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"], "additionalProperties": False}

pytestmark = [pytest.mark.ray, pytest.mark.vllm]


def engines() -> set[int]:
    """The processes of vLLM's engines on this machine."""
    named = {path.parent: path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")}
    return {int(place.name) for place, command in named.items() if command.startswith(b"VLLM::Engine")}


def test_vllm_streams_obeys_a_schema_and_is_replaced(ray_address: str, serve: Serve) -> None:
    engine = "\n".join(f"{field} = {json.dumps(value)}" for field, value in CHAT_ENGINE.items())
    before = engines()
    server = serve(
        f"""
[server]
grace = 0.0

[models.small]
backend = "ray"
model = "{checkpoint("tiny-llama")}"

[models.small.engine]
{engine}

[models.small.options]
backend = "vllm"
address = "{ray_address}"
""",
        timeout=LOADING,
    )
    long: dict[str, Any] = {
        "model": "small",
        "messages": QUESTION,
        "temperature": 0,
        "extra_body": {"ignore_eos": True},
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}
    with server.client() as client:
        stream = client.chat.completions.create(**long, stream=True, max_tokens=12)
        pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
        whole = client.chat.completions.create(**long, max_tokens=12)
        assert "".join(pieces) == whole.choices[0].message.content
        assert len([piece for piece in pieces if piece]) > 3
        obeyed = client.chat.completions.create(model="small", messages=QUESTION, response_format=form)
        assert obeyed.choices[0].message.content == '{"a": 1}'
        running = client.chat.completions.create(**long, stream=True, max_tokens=400)
        next(iter(running))
        for pid in engines() - before:
            os.kill(pid, signal.SIGKILL)
        with pytest.raises(openai.APIError, match="engine ended"):
            list(running)
    patient = server.client(max_retries=100)
    with patient:
        assert patient.chat.completions.create(**long, max_tokens=3).choices[0].finish_reason == "length"
