"""The options of a model on Ray: found right or wrong before anything starts. Needs no Ray."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backends import Setup, check_together
from backends.ray import backend as ray_backend
from backends.ray import options as ray_options
from backends.ray.backend import Ray
from backends.ray.options import Options
from openai_proxy.cli import findings
from openai_proxy.config import Config, ModelConfig
from tests.running import ROOT, environment


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_backend, "installed", lambda: True)


def built(slots: int | None = None, **options: Any) -> Ray:
    return Ray(Setup(name="m", options={"backend": "echo", **options}, slots=slots))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"replica": 2}, "model m: ray has no option 'replica'; did you mean 'replicas'?"),
        ({"replicas": 0}, "model m: replicas must be a whole number from 1 up to 10000, not 0"),
        ({"backend": "ray"}, "model m: the option 'backend' of ray must be another one than ray"),
        ({"backend": "ecko"}, "no backend is called 'ecko'; did you mean 'echo'?"),
        ({"replicas": 3, "max_replicas": 2}, "model m: max_replicas is 2, less than replicas"),
        ({"target": 2.0}, "model m: target has no use without max_replicas"),
        ({"address": "ray://head:10001"}, f"model m: {ray_options.NO_CLIENT}"),
        ({"options": {"delai": 1}}, "options of the echo model m: Object contains unknown field `delai`"),
    ],
)
def test_wrong_options_are_told(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        built(**options)


def test_it_needs_a_backend() -> None:
    with pytest.raises(ValueError, match="needs the option 'backend'"):
        Ray(Setup(name="m"))


def test_slots_are_those_of_all_replicas() -> None:
    assert built(replicas=2).slots == 2 * 1024
    assert built(replicas=1, max_replicas=3).slots == 3 * 1024
    shared = built(slots=10, replicas=4)
    assert shared.slots == 10
    assert shared.options.wrapped(Setup(name="m", slots=10)).slots == 3


def test_before_the_start_the_model_is_what_the_wrapped_backend_says() -> None:
    assert "chat" in built().model.kinds
    assert (
        "chat" not in built(backend="llama_cpp", options={"weights": "all-minilm-l6-v2", "embedding": True}).model.kinds
    )


def test_what_a_replica_needs_reaches_ray_and_serve() -> None:
    options = Options.read(
        "m", {"backend": "echo", "gpus": 2, "memory": 5, "resources": {"rack": 1}, "max_replicas": 4, "target": 8.0}
    )
    assert options.actor() == {"num_cpus": 1.0, "num_gpus": 2.0, "resources": {"rack": 1.0}, "memory": 5}
    scaling = options.scale(slots=16)["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["max_replicas"], scaling["target_ongoing_requests"]) == (1, 4, 8.0)
    assert Options.read("m", {"backend": "echo", "replicas": 3}).scale(16) == {"num_replicas": 3}


def test_a_process_is_in_one_cluster() -> None:
    setups = [Setup(name=name, options={"backend": "echo", "address": name}) for name in ("auto", "other:6379")]
    check_together({"ray": setups[:1]})
    with pytest.raises(ValueError, match="one address, not auto and other:6379"):
        check_together({"ray": setups})


def test_without_ray_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_backend, "installed", lambda: False)
    with pytest.raises(ValueError, match=r"model m: Ray is not installed: pip install 'openai-proxy\[ray\]'"):
        built()


@pytest.mark.parametrize(("backend", "state"), [("ray", "missing"), ("echo", "note")])
def test_the_doctor_says_so_too(monkeypatch: pytest.MonkeyPatch, backend: str, state: str) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    [found] = findings.ray(Config(models={"m": ModelConfig(backend=backend)}))
    assert found.state == state
    assert "openai-proxy[ray]" in (found.fix or "")


def test_nothing_of_ray_is_imported_to_check(tmp_path: Path) -> None:
    file = tmp_path / "ray.toml"
    file.write_text('[models.m]\nbackend = "ray"\noptions = { backend = "echo" }\n')
    script = (
        "import sys; from openai_proxy.__main__ import main; code = main(sys.argv[1:]); "
        "print('imported', 'ray' in sys.modules, code)"
    )
    command = [sys.executable, "-c", script, "check", "--config", str(file)]
    done = subprocess.run(command, cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert "imported False" in done.stdout
    if ray_options.installed():
        assert done.stdout.endswith(" 0\n"), done.stdout
    else:
        assert "ray.toml:1: model m: Ray is not installed" in done.stdout


def test_every_option_is_in_the_readme() -> None:
    section = (ROOT / "README.md").read_text().partition("\n### Ray\n")[2].partition("\n### ")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)) == set(Options.__struct_fields__)
