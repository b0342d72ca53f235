"""File, environment and flags -> one frozen `Config`, or every problem with the line where it is.

A flag is stronger than a variable of the environment, a variable than the file, the file than the default.
`OPENAI_PROXY_<SECTION>_<FIELD>` gives a setting, for example OPENAI_PROXY_SERVER_PORT, and OPENAI_PROXY_DEFAULT_MODEL
the one that stands in no section; lists are separated by commas, an empty variable counts as absent. Models come from
the file or from flags; when neither names any, those of `default` are served. OPENAI_PROXY_CONFIG names the file,
OPENAI_PROXY_HOME the folder of downloaded weights, OPENAI_PROXY_WHEELS a folder they are taken from instead.
"""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from backends.pinned import FETCHED
from backends.wording import shown
from openai_proxy.config import AccountSettings, Auth, Config, ModelConfig
from openai_proxy.configure.layers import Layers
from openai_proxy.configure.problems import ConfigError, Problem
from openai_proxy.configure.rules import check
from openai_proxy.configure.shape import build
from openai_proxy.configure.webhooks import check_webhooks

__all__ = ["ConfigError", "Problem", "accounts_file", "file_of", "key_file", "read"]

FOLDERS = {"home": "OPENAI_PROXY_HOME", "wheels": "OPENAI_PROXY_WHEELS"}


def read(path: pathlib.Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any]) -> Config:
    """The whole configuration. `overrides` are the flags: "server.port" -> 9000. Raises ConfigError.

    Without a `path` the file that OPENAI_PROXY_CONFIG names is read, without that none.
    """
    layers = Layers(file_of(path, environ), environ, overrides)
    config: Config | None = build(Config, layers.tree, (), layers.report)
    if config is not None:
        config = with_folders(config, environ)
        check(config, layers.report, whole="models" not in layers.faulty)
        check_webhooks(config.webhooks, environ, layers.report)
    if layers.problems or config is None:
        raise ConfigError(sorted(layers.problems, key=lambda problem: (problem.where, problem.line or 0)))
    return config


def file_of(path: pathlib.Path | None, environ: Mapping[str, str]) -> pathlib.Path | None:
    """The configuration file that is read, if there is one."""
    named = environ.get("OPENAI_PROXY_CONFIG")
    return path or (pathlib.Path(named) if named else None)


def key_file(path: pathlib.Path | None, environ: Mapping[str, str]) -> pathlib.Path | None:
    """The file of keys that is configured, whether it is there or not. Raises ConfigError."""
    return _named(Auth, "auth", "key_file", path, environ)


def accounts_file(path: pathlib.Path | None, environ: Mapping[str, str]) -> pathlib.Path | None:
    """The file of accounts that is configured, whether it is there or not. Raises ConfigError."""
    return _named(AccountSettings, "accounts", "file", path, environ)


def _named(
    kind: type[Struct], section: str, field: str, path: pathlib.Path | None, environ: Mapping[str, str]
) -> pathlib.Path | None:
    layers = Layers(file_of(path, environ), environ, {})
    settings: Struct | None = build(kind, layers.tree.get(section, {}), (section,), layers.report)
    file: str | None = getattr(settings, field, None)
    if "\0" in (file or ""):
        layers.report((section, field), f"{shown(file)} cannot name a file")
    if layers.problems or settings is None:
        raise ConfigError(layers.problems)
    return pathlib.Path(os.path.expanduser(file)) if file else None


def with_folders(config: Config, environ: Mapping[str, str]) -> Config:
    """Tell what uses downloaded weights where these lie; its own settings are stronger."""
    folders = {option: environ[name] for option, name in FOLDERS.items() if environ.get(name)}
    models = {name: _with_folders(model, folders) for name, model in config.models.items()}
    vision = {option: folder for option, folder in folders.items() if getattr(config.vision, option) is None}
    return msgspec.structs.replace(config, models=models, vision=msgspec.structs.replace(config.vision, **vision))


def _with_folders(model: ModelConfig, folders: Mapping[str, str]) -> ModelConfig:
    if "weights" not in model.options or model.backend not in FETCHED:
        return model
    return msgspec.structs.replace(model, options={**folders, **model.options})
