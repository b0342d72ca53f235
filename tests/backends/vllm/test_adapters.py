"""LoRA adapters, with a real engine: a name of its own, an answer of its own, and a reason when it cannot be loaded."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from backends import Setup
from backends.events import Outcome
from backends.requests import CompletionRequest
from backends.vllm import Vllm
from backends.vllm.adapters import AdapterFailed, fields
from tests.backends.conftest import ENVIRONMENT, checkpoint
from tests.backends.vllm.asking import continues

HIDDEN, RANK = 64, 8
ENGINE = {"dtype": "float32", "enforce_eager": True, "max_model_len": 256, "max_num_seqs": 4}


def adapter(folder: Path, seed: int) -> str:
    """A random adapter of the tiny Llama's attention."""
    numpy = pytest.importorskip("numpy")
    save = pytest.importorskip("safetensors.numpy").save_file
    draw = numpy.random.default_rng(seed)
    tensors: dict[str, Any] = {}
    for part in ("q_proj", "v_proj"):
        place = f"base_model.model.model.layers.0.self_attn.{part}"
        tensors[f"{place}.lora_A.weight"] = draw.normal(0, 1, (RANK, HIDDEN)).astype("float32")
        tensors[f"{place}.lora_B.weight"] = draw.normal(0, 1, (HIDDEN, RANK)).astype("float32")
    folder.mkdir()
    save(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": RANK, "lora_alpha": 64, "target_modules": ["q_proj", "v_proj"], "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    os.environ.update(ENVIRONMENT)
    folder = tmp_path_factory.mktemp("adapters")
    both = {name: adapter(folder / name, seed) for seed, name in enumerate(("one", "other"))}
    with asyncio.Runner() as runner:
        backend = Vllm(Setup(name="base", model=checkpoint("tiny-llama"), engine=ENGINE, adapters=both))
        runner.run(backend.start())

        def answer(name: str) -> str:
            request = structs.replace(continues("Once upon a time", max_tokens=16), model=name)
            assert isinstance(request, CompletionRequest)
            return runner.run(Outcome.of(backend.run(request))).answers[0].text

        yield answer
        runner.run(backend.close())


@pytest.mark.vllm
@pytest.mark.slow
def test_each_adapter_has_answers_of_its_own(answers: Any) -> None:
    said = {name: answers(name) for name in ("base", "one", "other")}
    assert len(set(said.values())) == 3
    assert said == {name: answers(name) for name in said}


@pytest.mark.vllm
@pytest.mark.slow
def test_an_adapter_that_cannot_be_loaded_is_told_by_name(tmp_path: Path) -> None:
    os.environ.update(ENVIRONMENT)

    async def load() -> None:
        nowhere = {"broken": str(tmp_path)}
        backend = Vllm(Setup(name="base", model=checkpoint("tiny-llama"), engine=ENGINE, adapters=nowhere))
        try:
            await backend.start()
        finally:
            await backend.close()

    with pytest.raises(AdapterFailed, match="The adapter broken cannot be loaded"):
        asyncio.run(load())


def test_the_engine_is_told_to_take_adapters() -> None:
    setup = Setup(name="m", model="/x", engine={"max_loras": 2}, adapters={"a": "/a"})
    assert fields(setup) == {"enable_lora": True, "max_loras": 2}
    assert fields(structs.replace(setup, adapters={})) == {"max_loras": 2}
