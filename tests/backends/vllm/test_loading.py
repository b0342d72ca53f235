"""Engines that cannot be started say why, in a sentence, and leave the backend failed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest

from backends import Setup
from backends.errors import BackendError, LoadFailed
from backends.vllm import Vllm, compat
from backends.vllm.engine import Engine
from backends.vllm.figures import Figures
from backends.vllm.options import Options
from tests.backends.conftest import checkpoint


def refusal(model: str, **engine: Any) -> tuple[BackendError, str]:
    """The error of a start, and the state after it."""

    async def start() -> tuple[BackendError, str]:
        backend = Vllm(Setup(name="m", model=model, engine=engine))
        with pytest.raises(BackendError) as failed:
            await backend.start()
        state = backend.state.name
        await backend.close()
        return failed.value, state

    return asyncio.run(start())


def test_vllm_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "version", lambda: None)
    error, state = refusal("org/name")
    assert "vLLM is not installed: scripts/install cuda" in error.message
    assert state == "failed"


def test_what_a_version_lacks_is_told_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "version", lambda: "vllm 0.99.0")
    monkeypatch.setattr(compat, "NAMES", {"Gone": ("json:Gone",), "Here": ("json:gone", "json:loads")})
    error, _ = refusal("org/name")
    assert error.message.startswith("vllm 0.99.0 lacks what this server needs of 0.30 to 0.33: json:Gone (")
    assert "\n" not in error.message


def test_a_name_is_taken_from_the_first_place_that_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat, "version", lambda: "vllm 0.31.0")
    monkeypatch.setattr(compat, "NAMES", {"loads": ("json:gone", "nowhere:loads", "json:loads")})
    assert compat.load() == SimpleNamespace(loads=__import__("json").loads)


def warmed_up(prepare: Callable[[SimpleNamespace], Awaitable[None]]) -> str:
    """Why an engine did not warm up."""

    async def warm_up() -> str:
        built = SimpleNamespace(errored=False)
        options = Options.read(Setup(name="m", model="org/name"))
        engine = Engine("org/name", {}, options, lambda: None, lambda: prepare(built), lambda: None, Figures("m"))
        engine.built = built
        with pytest.raises(LoadFailed) as failed:
            await asyncio.wait_for(engine._warm_up(), 30)
        return failed.value.message

    return asyncio.run(warm_up())


def test_an_engine_that_ends_while_it_warms_up_keeps_nobody_waiting() -> None:
    async def hang(built: SimpleNamespace) -> None:
        built.errored = True
        await asyncio.Event().wait()

    assert warmed_up(hang) == "The engine ended while it warmed up."


def test_what_goes_wrong_while_an_engine_warms_up_is_a_failed_load() -> None:
    async def fail(built: SimpleNamespace) -> None:
        raise RuntimeError("no such kernel\nat all")

    assert warmed_up(fail) == "The engine did not warm up: no such kernel"


@pytest.mark.vllm
@pytest.mark.parametrize("model", ["/no/such/folder", "./nowhere"])
def test_a_folder_that_is_not_there(model: str) -> None:
    error, state = refusal(model)
    assert type(error) is LoadFailed
    assert error.message.startswith("There is no model folder ")
    assert state == "failed"


@pytest.mark.vllm
def test_a_wrong_value_is_named() -> None:
    error, _ = refusal(checkpoint("tiny-llama"), dtype="nonsense")
    assert "dtype" in error.message
    assert "validation error" not in error.message
    assert "\n" not in error.message
