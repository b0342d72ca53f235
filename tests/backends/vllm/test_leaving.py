"""Clients who leave: the engine itself stops working for them, whatever they had asked for."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any

import pytest

from tests.running import Running

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

MESSAGES = [{"role": "user", "content": "Tell me a long story."}]
ENDLESS = {"model": "small", "max_tokens": 1900, "ignore_eos": True}
CHAT, COMPLETION = ("/v1/chat/completions", {"messages": MESSAGES}), ("/v1/completions", {"prompt": "Once"})
VECTORS = ("/v1/embeddings", {"model": "vectors", "input": ["word " * 400] * 1000})
# The engine has stopped within 0.5 s of a machine that has nothing else to do.
GONE = 2.0


def figure(server: Running, name: str, model: str) -> float:
    """One of the engine's own figures."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request("GET", "/metrics")
    told = connection.getresponse().read().decode()
    connection.close()
    [line] = [line for line in told.splitlines() if line.startswith(f'openai_proxy_engine_{name}{{model="{model}"}}')]
    return float(line.split()[-1])


def wait_until_inside(server: Running, model: str, wanted: float, seconds: float) -> None:
    """Wait until so many requests are in the engine: at least one or more, or none at all."""
    end = time.monotonic() + seconds
    while True:
        found = figure(server, "requests_running", model) + figure(server, "requests_waiting", model)
        if found >= wanted > 0 or found == wanted == 0:
            return
        assert time.monotonic() < end, f"{found} requests are in the engine"
        time.sleep(0.02)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("n", [1, 3])
@pytest.mark.parametrize("asked", [CHAT, COMPLETION], ids=["chat", "completion"])
def test_who_leaves_an_answer_ends_it(
    vllm_server: Running, asked: tuple[str, dict[str, Any]], n: int, stream: bool
) -> None:
    path, body = asked
    leaves(vllm_server, path, {**ENDLESS, **body, "n": n, "stream": stream}, n)
    written = figure(vllm_server, "generation_tokens_total", "small")
    time.sleep(0.3)
    assert figure(vllm_server, "generation_tokens_total", "small") == written


def test_who_leaves_vectors_ends_them(vllm_server: Running) -> None:
    path, body = VECTORS
    leaves(vllm_server, path, body, 1)


def leaves(server: Running, path: str, body: dict[str, Any], n: int) -> None:
    """Ask, wait until the engine works on all n answers, and close the connection."""
    model = str(body["model"])
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    wait_until_inside(server, model, n, 60)
    connection.close()
    wait_until_inside(server, model, 0, GONE)
