"""Jobs as the configuration wants them kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import platformdirs

from openai_proxy.config import Config, JobSettings
from openai_proxy.jobs.files import Files
from openai_proxy.jobs.jobs import Jobs
from openai_proxy.jobs.memory import MemoryStore
from openai_proxy.jobs.store import Store
from openai_proxy.jobs.worker import Worker
from openai_proxy.lifecycle import Lifecycle
from openai_proxy.metrics import Metrics
from openai_proxy.router import Router

MEMORY = "memory"


def jobs_of(router: Router, lifecycle: Lifecycle, metrics: Metrics, config: Callable[[], Config]) -> Jobs:
    """The jobs of a server. What says where they are kept is read once; all else follows a reload."""
    settings = config().jobs
    store = store_of(settings)
    files = Files(settings.files or str(home(settings) / "files"))
    return Jobs(store, files, Worker(store, files, router, lifecycle, metrics, config), config)


def store_of(settings: JobSettings) -> Store:
    """Where these settings keep jobs; nothing is opened."""
    return MemoryStore()


def home(settings: JobSettings) -> Path:
    """The folder of what has no other place."""
    if settings.home is not None:
        return Path(os.path.expanduser(settings.home))
    return platformdirs.user_data_path("openai-proxy") / "jobs"
