"""The files of `scripts/deploy` are valid, shut in what they start and leave it the time to end well."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from backends import BACKENDS
from openai_proxy import configure
from openai_proxy.config import Config
from openai_proxy.process import LAST_WORDS
from tests.house.source import ROOT
from tests.running import environment

DEPLOY = ROOT / "scripts" / "deploy"
NO_SETTINGS = {"OPENAI_PROXY_HOME", "OPENAI_PROXY_KEYS"}
PLACES = ("one-machine", "edge")
HARDENED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "yes",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "ProtectControlGroups": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "RestrictNamespaces": "yes",
    "RestrictSUIDSGID": "yes",
    "CapabilityBoundingSet": "",
    "SystemCallFilter": "@system-service",
    "KillMode": "mixed",
    "StateDirectory": "openai-proxy",
    "User": "openai-proxy",
}


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Path:
    return DEPLOY / str(request.param)


def services(place: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((place / "compose.yaml").read_text())["services"]
    return found


def ours(place: Path) -> dict[str, Any]:
    """The one service that runs this program."""
    found: dict[str, Any]
    [found] = [each for each in services(place).values() if "build" in each]
    return found


def settings(unit: Path) -> dict[str, str]:
    """The settings of a unit; those that are given twice are joined."""
    found: dict[str, str] = {}
    for name, value in re.findall(r"^(\w+)=(.*)$", unit.read_text(), re.MULTILINE):
        found[name] = f"{found[name]} {value}" if name in found else value
    return found


def seconds_to_end(place: Path) -> float:
    """What the server may take from SIGTERM to its end."""
    server = tomllib.loads((place / "openai-proxy.toml").read_text())["server"]
    return float(server["grace"] + server["drain"] + 2 * LAST_WORDS)


def test_the_configuration_is_right(place: Path) -> None:
    file = place / "openai-proxy.toml"
    kinds = {model["backend"] for model in tomllib.loads(file.read_text()).get("models", {}).values()}
    if not kinds <= BACKENDS.keys():
        pytest.skip(f"needs the backends {sorted(kinds - BACKENDS.keys())}")
    command = [sys.executable, "-m", "openai_proxy", "check", "--config", str(file)]
    done = subprocess.run(command, cwd=ROOT, env=environment(VLLM_API_KEY="x"), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_times_of_a_drain_are_the_defaults(place: Path) -> None:
    server = tomllib.loads((place / "openai-proxy.toml").read_text())["server"]
    assert (server["grace"], server["drain"]) == (Config().server.grace, Config().server.drain)


# Units


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_takes_the_unit(place: Path, tmp_path: Path) -> None:
    installed = (place / "openai-proxy.service").read_text()
    unit = tmp_path / "openai-proxy.service"
    unit.write_text(installed.replace("/opt/openai-proxy/.venv/bin/openai-proxy", sys.executable))
    assert unit.read_text() != installed
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_shuts_the_server_in(place: Path) -> None:
    found = settings(place / "openai-proxy.service")
    assert {name: found.get(name) for name in HARDENED} == HARDENED
    assert int(found["LimitNOFILE"]) >= 65_536


def test_systemd_waits_for_the_drain(place: Path) -> None:
    assert int(settings(place / "openai-proxy.service")["TimeoutStopSec"]) > seconds_to_end(place)


def test_what_a_unit_runs_and_says_exists(place: Path) -> None:
    found = settings(place / "openai-proxy.service")
    assert "serve --config /etc/openai-proxy/openai-proxy.toml" in found["ExecStart"]
    read_with(set(re.findall(r"\bOPENAI_PROXY_\w+", (place / "openai-proxy.service").read_text())) - NO_SETTINGS)


# Containers


def test_compose_takes_the_file(place: Path) -> None:
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "compose", "version"], capture_output=True).returncode:
        pytest.skip("needs docker compose")
    command = ["docker", "compose", "--file", str(place / "compose.yaml"), "config", "--quiet"]
    needed = environment(MODELS="/srv/models", MODEL="m", VLLM_API_KEY="x")
    done = subprocess.run(command, env=needed, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_container_is_shut_in(place: Path) -> None:
    service = ours(place)
    assert service["user"].split(":")[0] not in ("0", "root")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ulimits"]["nofile"]["soft"] >= 65_536
    assert [port for port in service["ports"] if not port.startswith("127.0.0.1:")] == []
    writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
    assert set(writable) <= {"weights:/var/lib/openai-proxy", "jobs:/var/lib/openai-proxy"}
    assert "/tmp" in service["tmpfs"][0]


def test_docker_waits_for_the_drain_of_all_that_is_below(place: Path) -> None:
    own = duration(ours(place)["stop_grace_period"])
    assert own > seconds_to_end(place)
    others = [each for each in services(place).values() if "build" not in each]
    assert all(duration(each["stop_grace_period"]) > own for each in others)


def test_every_container_tells_how_it_is(place: Path) -> None:
    for name, service in services(place).items():
        health = service["healthcheck"]
        assert health["test"][0] == "CMD", name
        [script] = [word for word in health["test"] if "urlopen" in word]
        compile(script, name, "exec")
        assert "/livez" in script if "build" in service else "/health" in script
        assert service["restart"] == "unless-stopped"


def test_upstreams_are_services_on_a_network_of_their_own() -> None:
    place = DEPLOY / "edge"
    file = tomllib.loads((place / "openai-proxy.toml").read_text())
    hosts = re.findall(r"//([\w-]+):8000", str(file["models"]["writer"]["upstreams"]))
    found = services(place)
    assert hosts == sorted(found.keys() - {"edge"})
    assert all(found[host]["networks"] == ["engines"] and "ports" not in found[host] for host in hosts)
    assert len({found[host]["environment"]["CUDA_VISIBLE_DEVICES"] for host in hosts}) == len(hosts)
    networks = yaml.safe_load((place / "compose.yaml").read_text())["networks"]
    assert networks["engines"] == {"internal": True}


def test_the_settings_of_a_container_exist(place: Path) -> None:
    read_with({name for name in ours(place)["environment"] if name.startswith("OPENAI_PROXY")})


def test_the_image_is_not_root_and_gets_all_that_it_installs() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert re.findall(r"^USER (\d+)", text, re.MULTILINE) == ["10001"]
    for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines():
        if line.startswith("!"):
            assert (ROOT / line[1:]).exists(), line


def duration(text: str) -> float:
    """Seconds of "45s"."""
    found = re.fullmatch(r"(\d+)s", text)
    assert found is not None, text
    return float(found[1])


def read_with(names: set[str]) -> Config:
    """The configuration with these variables set. Raises ConfigError where the server reads no such variable."""
    values = {"HOST": "0.0.0.0", "FILE": __file__, "FORMAT": "json"}
    return configure.read(None, {name: values.get(name.rpartition("_")[2], "x") for name in names}, {})
