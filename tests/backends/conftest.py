"""vLLM's engines and a Ray cluster, which tests share; checkpoints are made once and kept."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncGenerator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from backends import Backend, Setup
from backends.diffusers import Diffusers
from backends.events import Event, Outcome
from backends.ray import cluster
from backends.requests import Request
from backends.vllm import Vllm
from backends.weights import home_folder
from tests.backends.espeak.calls import installed
from tests.backends.ray.nodes import LOOPBACK, nodes
from tests.running import ROOT

# Read before the environment is cleaned for the tests.
HOME = Path(os.environ["OPENAI_PROXY_HOME"]) if os.environ.get("OPENAI_PROXY_HOME") else home_folder()
PLACES = {name: os.environ[name] for name in ("OPENAI_PROXY_HOME", "OPENAI_PROXY_WHEELS") if os.environ.get(name)}
# Two threads on two busy cores make the engine a hundred times slower.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "GOMP_SPINCOUNT": "0",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "HF_HUB_OFFLINE": "1",
}
CONTEXT = 2048
# Several engines are there at once.
CHAT_ENGINE: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_model_len": CONTEXT,
    "max_num_seqs": 16,
    "kv_cache_memory_bytes": 400_000_000,
}
VECTOR_ENGINE: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "max_num_seqs": 16,
    "kv_cache_memory_bytes": 100_000_000,
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs vLLM and its like is skipped without it, and does not answer for the warnings of its packages."""
    for package, name in (("vllm", "vLLM"), ("ray", "Ray"), ("diffusers", "Diffusers")):
        missing = importlib.util.find_spec(package) is None
        for item in items:
            if item.get_closest_marker(package):
                item.add_marker(pytest.mark.filterwarnings("ignore"))
                if missing:
                    item.add_marker(pytest.mark.skip(reason=f"{name} is not installed"))


@pytest.fixture(scope="session")
def ray_address() -> Iterator[str]:
    """The address of a cluster of two nodes on this machine."""
    os.environ.update(LOOPBACK)  # read by this process too
    with nodes() as address:
        yield address


@pytest.fixture(scope="session")
def ray_options(ray_address: str) -> Iterator[dict[str, Any]]:
    """Options of a model on that cluster; this process leaves it at the end."""
    yield {"address": ray_address}
    cluster.disconnect()


@pytest.fixture(scope="session")
def espeak_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """espeak-ng, or what stands in for it where it is not installed."""
    real = shutil.which("espeak-ng")
    return {"program": real or str(installed(tmp_path_factory.mktemp("espeak")))}


LOOKING_ENGINE = {**VECTOR_ENGINE, "max_model_len": CONTEXT, "limit_mm_per_prompt": {"image": 8}}
# What tests share: the fixture's name, its checkpoint and its engine's fields.
SHARED = {
    "vllm_chat": ("smollm2", CHAT_ENGINE),
    "vllm_vectors": ("minilm", VECTOR_ENGINE),
    "vllm_pairs": ("cross-encoder", VECTOR_ENGINE),
    "vllm_looks": ("tiny-vision", LOOKING_ENGINE),
    "vllm_listens": ("tiny-whisper", VECTOR_ENGINE),
}


class Living:
    """A started engine's backend and the loop that it lives in."""

    def __init__(self, runner: asyncio.Runner, backend: Backend) -> None:
        self.runner = runner
        self.backend = backend

    def answer(self, request: Request) -> Outcome:
        return self.runner.run(Outcome.of(self.backend.run(request)))

    def events(self, request: Request) -> list[Event]:
        return self.runner.run(gathered(self.backend.run(request)))


class Served(Living):
    """One of vLLM's."""

    backend: Vllm


class Engines:
    """Engines that tests share. One that nobody uses lives on until another is wanted: each takes some 2 GB."""

    def __init__(self) -> None:
        self._idle: dict[str, ExitStack] = {}
        self._served: dict[str, Served] = {}

    @contextmanager
    def use(self, name: str) -> Iterator[Served]:
        ending = self._idle.pop(name, None)
        if ending is None:
            self.close()
            ending = ExitStack()
            self._served[name] = ending.enter_context(serving(*SHARED[name]))
        yield self._served[name]
        self._idle[name] = ending

    def close(self) -> None:
        """End those that nobody uses."""
        while self._idle:
            self._idle.popitem()[1].close()


async def gathered(events: AsyncGenerator[Event]) -> list[Event]:
    return [event async for event in events]


def checkpoint(name: str) -> str:
    """A folder made by scripts/make_checkpoints."""
    folder = HOME / "checkpoints"
    if (folder / name).is_dir():
        return str(folder / name)
    script = [sys.executable, str(ROOT / "scripts" / "checkpoints" / "make.py"), str(folder), name]
    subprocess.run(script, check=True, env={**os.environ, **PLACES}, stdout=subprocess.DEVNULL)
    return str(folder / name)


@contextmanager
def serving(model: str, engine: dict[str, Any]) -> Iterator[Served]:
    os.environ.update(ENVIRONMENT)
    with asyncio.Runner() as runner:
        backend = Vllm(Setup(name=model, model=checkpoint(model), engine=engine))
        runner.run(backend.start())
        yield Served(runner, backend)
        runner.run(backend.close())
        assert backend.state.name == "stopped"


@pytest.fixture(scope="session")
def engines() -> Iterator[Engines]:
    kept = Engines()
    yield kept
    kept.close()


def shared(name: str) -> Any:
    """The fixture that lends this one of SHARED to the tests of a file."""

    @pytest.fixture(scope="module", name=name)
    def lent(engines: Engines) -> Iterator[Served]:
        with engines.use(name) as served:
            yield served

    return lent


vllm_chat = shared("vllm_chat")
vllm_vectors = shared("vllm_vectors")
vllm_pairs = shared("vllm_pairs")
vllm_looks = shared("vllm_looks")
vllm_listens = shared("vllm_listens")


@pytest.fixture(scope="session")
def diffusers_draws() -> Iterator[Living]:
    options = {"steps": 4, "threads": 1, "gather": 0.1, "largest": 256}
    with asyncio.Runner() as runner:
        backend = Diffusers(Setup(name="tiny-diffusion", model=checkpoint("tiny-diffusion"), options=options))
        runner.run(backend.start())
        yield Living(runner, backend)
        runner.run(backend.close())
        assert backend.state.name == "stopped"
