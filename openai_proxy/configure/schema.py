"""The configuration file's JSON Schema, for editors that complete and check TOML (Even Better TOML, taplo)."""

from __future__ import annotations

from typing import Any

import msgspec

from backends import BACKENDS
from openai_proxy.config import Config

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the file; every setting with its meaning, type, range and default."""
    schema = msgspec.json.schema(Config)
    parts = schema["$defs"]
    parts["ModelConfig"]["properties"]["backend"]["examples"] = sorted(BACKENDS)
    for name, entry in parts["Config"]["properties"].items():
        entry.pop("default", None)  # whole sections as defaults would be completed whole
        described = parts.get(entry.get("$ref", "").rpartition("/")[2])
        if described is not None:
            entry["description"] = described["description"].splitlines()[0]
        entry.setdefault("title", name)
    return {"$schema": DIALECT, "title": "openai-proxy configuration", **schema}
