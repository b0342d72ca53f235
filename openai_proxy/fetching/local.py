"""Files below one folder, opened without following a link on the way."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import ExitStack

from openai_proxy.fetching import NotFetched

STEP = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Without waiting for whoever writes to a named pipe.
OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def read_local(path: str, folder: str, most: int, begins: Callable[[bytes], bool]) -> bytes:
    """The content of a regular file of at most `most` bytes that `begins` as it should. Raises NotFetched.

    `path` is absolute and lies below `folder`, by the name that this has in the settings or by its real one.
    """
    try:
        folder = os.path.expanduser(folder)
        return _read(_steps(path, folder), folder, most, begins)
    except OSError as error:
        raise NotFetched("refused", f"cannot be read: {error.strerror}") from error


def _steps(path: str, folder: str) -> list[str]:
    """The names to go through from the folder on."""
    for root in (os.path.abspath(folder), os.path.realpath(folder)):
        inside = path.removeprefix(root.rstrip("/") + "/")
        if inside != path:
            steps = inside.split("/")
            if not any(step in ("", ".", "..") for step in steps):
                return steps
    raise NotFetched("blocked", "lies outside of the folder")


def _read(steps: list[str], folder: str, most: int, begins: Callable[[bytes], bool]) -> bytes:
    with ExitStack() as opened:
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        opened.callback(os.close, at)
        for step in steps[:-1]:
            at = os.open(step, STEP, dir_fd=at)
            opened.callback(os.close, at)
        file = opened.enter_context(open(os.open(steps[-1], OPEN, dir_fd=at), "rb"))
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise NotFetched("blocked", "is no regular file")
        data = file.read(most + 1)
    if len(data) > most:
        raise NotFetched("too_large", f"more than {most} bytes")
    if not begins(data):
        raise NotFetched("other_content", "its content is of another kind")
    return data
