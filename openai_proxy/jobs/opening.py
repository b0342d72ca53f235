"""Jobs as the configuration wants them kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from openai_proxy.config import Config, JobSettings
from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.files import Files
from openai_proxy.jobs.jobs import Jobs
from openai_proxy.jobs.memory import MemoryStore
from openai_proxy.jobs.places import MEMORY, POSTGRESQL, home, left, path_of, tag_of
from openai_proxy.jobs.store import Store
from openai_proxy.jobs.worker import Worker
from openai_proxy.lifecycle import Lifecycle
from openai_proxy.metrics import Metrics
from openai_proxy.router import Router


def jobs_of(router: Router, lifecycle: Lifecycle, metrics: Metrics, config: Callable[[], Config]) -> Jobs:
    """The jobs of a server. What says where they are kept is read once; all else follows a reload."""
    settings = config().jobs
    files = Files(settings.files or str(home(settings) / "files"), tag_of(settings))

    def hired(store: Store) -> Worker:
        return Worker(store, files, router, lifecycle, metrics, config)

    return Jobs(partial(opened, settings), left(settings), files, hired, config)


def opened(settings: JobSettings) -> Store:
    """Where these settings keep jobs; nothing is connected. Takes as long as importing takes.

    Raises StoreFailed.
    """
    if settings.database == MEMORY:
        return MemoryStore()
    from openai_proxy.jobs.database import Database

    database = settings.database or ""
    if database.startswith(POSTGRESQL):
        return Database("postgresql://" + database.partition("://")[2])
    path = path_of(settings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StoreFailed(f"Jobs cannot be kept in {path.parent}: {error.strerror}") from error
    return Database(f"sqlite:///{path}")
