"""What must hold in the sections `[jobs]` and `[protocols]` beyond the type of each setting.

Passwords may stand in addresses: none of these is shown.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import msgspec

from backends.wording import shown
from openai_proxy.config import Config, JobSettings
from openai_proxy.configure.shape import Report
from openai_proxy.errors import StoreFailed
from openai_proxy.jobs.folder import check_kind
from openai_proxy.jobs.places import MEMORY, POSTGRESQL, SQLITE, path_of
from openai_proxy.settings.protocols import Protocols

INSTALL = "pip install 'openai-proxy[{}]'"
# A server guards these paths by how they begin.
GUARDED = ("/admin", "/v1")


def check_jobs(config: Config, report: Report) -> None:
    jobs = config.jobs
    check_database(jobs, report)
    check_files(jobs, report)
    if jobs.home is not None and (problem := unwritable(Path(os.path.expanduser(jobs.home)))):
        report(("jobs", "home"), f"jobs.home: {problem}")
    if jobs.database == MEMORY and config.server.workers > 1:
        why = f"{config.server.workers} workers cannot share jobs in the memory of one"
        report(("jobs", "database"), f"jobs.database: {why}; leave it out for SQLite, or name a database")


def check_database(jobs: JobSettings, report: Report) -> None:
    database = jobs.database
    if database is None or database == MEMORY:
        return
    file = database.removeprefix(SQLITE)
    problem: str | None
    if database.startswith(POSTGRESQL):
        problem = wrong_postgresql(database)
    elif "://" in file or file in ("", ":memory:"):
        problem = 'only a SQLite file, "postgresql://USER@HOST/NAME" and "memory" are taken'
    else:
        problem = unwritable(path_of(jobs), file=True)
    if problem:
        report(("jobs", "database"), f"jobs.database: {problem}")


def wrong_postgresql(database: str) -> str | None:
    """Why this cannot be connected to, if it cannot; nothing is connected."""
    if importlib.util.find_spec("asyncpg") is None:
        return f"PostgreSQL needs the package asyncpg: {INSTALL.format('postgresql')}"
    from openai_proxy.jobs.connections import connections

    try:
        connections("postgresql://" + database.partition("://")[2])
    except (StoreFailed, ValueError):
        return 'this is no address like "postgresql://USER@HOST/NAME"'
    return None


def check_files(jobs: JobSettings, report: Report) -> None:
    """A folder can be written; a URL is of a kind that fsspec knows, with its package installed."""
    if jobs.files is None:
        return
    scheme, is_address, _ = jobs.files.partition("://")
    problem = (
        wrong_scheme(scheme.rpartition("::")[2]) if is_address else unwritable(Path(os.path.expanduser(jobs.files)))
    )
    if problem:
        report(("jobs", "files"), f"jobs.files: {problem}")


def wrong_scheme(scheme: str) -> str | None:
    try:
        check_kind(scheme)
    except ValueError:
        return f"nothing is known of addresses that begin with {shown(scheme + '://')}"
    except ImportError as error:
        return f"it needs a package: {INSTALL.format('s3')}" if scheme == "s3" else str(error)
    return None


def unwritable(path: Path, *, file: bool = False) -> str | None:
    """Why nothing can be written into a folder, or a file, which need not be there yet; None where it can."""
    try:
        if file and path.is_dir():
            return f"{path} is a folder, not a file"
        folder = path.absolute().parent if file else path.absolute()
        there = next(each for each in (folder, *folder.parents) if each.exists())
    except (OSError, ValueError) as error:
        return f"{shown(str(path))} cannot be used: {getattr(error, 'strerror', None) or error}"
    if "\0" in str(path):
        return f"{shown(str(path))} cannot name a file"
    if not there.is_dir():
        return f"{there} is a file, not a folder"
    if not os.access(there, os.W_OK | os.X_OK):
        return f"nothing can be written into {there}"
    return None


def check_protocols(protocols: Protocols, report: Report) -> None:
    """No protocol is below the server's own paths, whose guards would be in its way or not know it."""
    for name in msgspec.structs.asdict(protocols):
        place = getattr(protocols, name)
        if isinstance(place, str) and f"/{place.split('/')[1]}" in GUARDED:
            report(("protocols", name), f"protocols.{name}: {shown(place)} is below a path of the server's own")
