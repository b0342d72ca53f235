"""`serve --model` and `--backend`: one model without a configuration file."""

from __future__ import annotations

import difflib
import os
import pathlib
import re
from typing import Any

import msgspec

from openai_proxy.config import Config
from openai_proxy.configure import ConfigError, Problem

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


def models(model: str | None, backend: str | None) -> dict[str, Any]:
    """The settings that these flags stand for; none when `model` has to name a configured one. Raises ConfigError."""
    path = pathlib.Path(os.path.expanduser(model or "")).absolute()
    if model == "":
        raise ConfigError([Problem("--model", "is empty: name a GGUF file or a configured model")])
    if path.is_file():
        entry = {"backend": backend or "llama_cpp", "options": {"path": str(path)}}
        return {"models": {path.stem: entry}, "default_model": path.stem}
    if path.suffix == ".gguf":
        raise ConfigError([Problem("--model", f"there is no file {path}")])
    if model and (path / "config.json").is_file():
        return repository(str(path), path.name)
    if backend is None:
        return {}
    if model and backend == "vllm":
        return repository(model, model)
    name = model or backend
    return {"models": {name: {"backend": backend}}, "default_model": name}


def repository(model: str, name: str) -> dict[str, Any]:
    """The settings for one model in Hugging Face's form: a folder, or "organisation/name"."""
    return {"models": {name: {"backend": "vllm", "model": model}}, "default_model": name}


def names_repository(model: str, config: Config) -> bool:
    """Whether this is "organisation/name", and no model of the configuration."""
    known = {name for model, entry in config.models.items() for name in (model, *entry.names)}
    return model not in known and REPOSITORY.fullmatch(model) is not None


def only(config: Config, name: str) -> Config:
    """The configuration with this model alone, which then serves requests that name none. Raises ConfigError."""
    for model, entry in config.models.items():
        if name == model or name in entry.names:
            return msgspec.structs.replace(config, models={model: entry}, default_model=model)
    near = difflib.get_close_matches(name, config.models, n=1)
    hint = f"did you mean {near[0]}?" if near else f"configured are {', '.join(config.models)}"
    raise ConfigError([Problem("--model", f"{name!r} is neither a configured model nor a GGUF file; {hint}")])
