"""Configurations of servers with remote models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# Nothing that one test does to an upstream shall keep work away from it in the next; connections are always new.
FORGIVING: Mapping[str, Any] = {"circuit_failures": 1000, "eject": False, "slow_start": 0, "keep_alive": 0}
SERVER = "[server]\ngrace = 0.0\ndrain = 1.0\nconnections = 4000\nconnections_per_peer = 4000\n"


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        case Mapping():
            return "{ " + ", ".join(f"{name} = {toml(each)}" for name, each in value.items()) + " }"
        case Sequence():
            return "[" + ", ".join(map(toml, value)) + "]"
    return str(value)


def table(name: str, values: Mapping[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {toml(value)}\n" for key, value in values.items())


def model(name: str, *upstreams: Mapping[str, Any], settings: Mapping[str, Any] = FORGIVING, **more: Any) -> str:
    """A remote model with these upstreams; `settings` are its options, `more` stands beside them."""
    values = {"backend": "remote", "upstreams": [{"model": "theirs", **each} for each in upstreams], **more}
    return table(f"models.{name}", values) + table(f"models.{name}.options", settings)
