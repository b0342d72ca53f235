"""What the processes of an engine find in their environment."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from backends.vllm import compat


@pytest.mark.parametrize(
    ("executor", "ranks", "kept"),
    [("ray", "mp", False), ("mp", "ray", False), ("mp", "mp", True), (None, "mp", True)],
)
def test_other_hosts_are_not_told_of_our_file(
    executor: str | None, ranks: str, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(compat.PATH, str(compat.LEVELS))
    monkeypatch.delenv("VLLM_LOGGING_LEVEL", raising=False)
    parallel = SimpleNamespace(distributed_executor_backend=executor, data_parallel_backend=ranks)
    with compat.environment_of(SimpleNamespace(parallel_config=parallel)):
        assert os.environ.get(compat.PATH) == (str(compat.LEVELS) if kept else None)
        assert os.environ.get("VLLM_LOGGING_LEVEL") == (None if kept else "WARNING")
    assert os.environ[compat.PATH] == str(compat.LEVELS)
    assert "VLLM_LOGGING_LEVEL" not in os.environ


def test_an_operators_own_file_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(compat.PATH, "/etc/levels.json")
    parallel = SimpleNamespace(distributed_executor_backend="ray", data_parallel_backend="mp")
    with compat.environment_of(SimpleNamespace(parallel_config=parallel)):
        assert os.environ[compat.PATH] == "/etc/levels.json"
