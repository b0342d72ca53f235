"""`serve --model` and `--backend`: one model without a configuration file."""

from __future__ import annotations

import difflib
import pathlib
from typing import Any

import msgspec

from openai_proxy.config import Config
from openai_proxy.configure import ConfigError, Problem


def models(model: str | None, backend: str | None) -> dict[str, Any]:
    """The settings that these flags stand for; none when `model` has to name a configured one."""
    is_file = model is not None and (model.endswith(".gguf") or pathlib.Path(model).is_file())
    if backend is None and not is_file:
        return {}
    if model is not None and is_file:
        path = pathlib.Path(model).expanduser().absolute()
        name, options = path.stem, {"path": str(path)}
    else:
        name, options = model or str(backend), {}
    entry = {"backend": backend or "llama_cpp", "options": options}
    return {"models": {name: entry}, "default_model": name}


def only(config: Config, name: str) -> Config:
    """The configuration with this model alone, which then serves requests that name none. Raises ConfigError."""
    for model, entry in config.models.items():
        if name == model or name in entry.aliases:
            return msgspec.structs.replace(config, models={model: entry}, default_model=model)
    near = difflib.get_close_matches(name, config.models, n=1)
    hint = f"did you mean {near[0]}?" if near else f"configured are {', '.join(config.models)}"
    raise ConfigError([Problem("--model", f"{name!r} is neither a configured model nor a GGUF file; {hint}")])
