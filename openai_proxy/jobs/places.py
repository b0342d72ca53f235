"""Where the settings have jobs kept. Cheap to import: the configuration is checked with it."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

import platformdirs

from openai_proxy.config import JobSettings

MEMORY = "memory"
POSTGRESQL = ("postgresql://", "postgres://")
SQLITE = "sqlite:///"


def left(settings: JobSettings) -> bool:
    """Whether there may be jobs of an earlier process."""
    database = settings.database or ""
    return database.startswith(POSTGRESQL) or (database != MEMORY and path_of(settings).exists())


def path_of(settings: JobSettings) -> Path:
    """The file of a SQLite database."""
    if settings.database is None:
        return home(settings) / "jobs.db"
    return Path(os.path.expanduser(settings.database.removeprefix(SQLITE)))


def tag_of(settings: JobSettings) -> str:
    """What tells the files of one database from those of another that has the same folder for them."""
    database = settings.database or ""
    if database == MEMORY:
        return secrets.token_hex(4)
    name = database.rpartition("@")[2] if database.startswith(POSTGRESQL) else str(path_of(settings).absolute())
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def home(settings: JobSettings) -> Path:
    """The folder of what has no other place."""
    if settings.home is not None:
        return Path(os.path.expanduser(settings.home))
    return platformdirs.user_data_path("openai-proxy") / "jobs"
