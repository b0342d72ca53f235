"""Files that a command keeps, of keys or of accounts: what goes wrong with one ends the command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from openai_proxy.cli.ending import Ending


@contextmanager
def told(file: Path, kind: str, maker: str, problem: type[ValueError]) -> Iterator[None]:
    """Work on a file of that `kind`, which the command `maker` makes. Raises Ending, for a `problem` in its words."""
    try:
        yield
    except problem as error:
        raise Ending(str(error)) from error
    except OSError as error:
        if isinstance(error, FileNotFoundError) and error.filename and Path(error.filename) == file:
            raise Ending(f"there is no {kind} {file}; `openai-proxy {maker}` makes it") from error
        reason = "its folder is a file" if isinstance(error, FileExistsError) else error.strerror
        raise Ending(f"the {kind} {file} cannot be used: {reason}") from error
