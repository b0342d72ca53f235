"""Files that a command keeps, of keys or of accounts: which one is meant, and what goes wrong with it."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeAlias

import platformdirs
from msgspec import Struct

from openai_proxy import configure
from openai_proxy.cli.ending import MISUSED, Ending
from openai_proxy.cli.table import print_json, print_table
from openai_proxy.rewriting import exposed

Rows: TypeAlias = Sequence[Mapping[str, str | Sequence[str]]]
Configured: TypeAlias = Callable[[pathlib.Path | None, Mapping[str, str]], pathlib.Path | None]


class Kept(Struct, frozen=True):
    """Such a file: what it is (`kind`), its `name` in the configuration folder, the `flag` and the `setting` that name
    another one, which is read as `configured` does, the command that is its `maker`, and the error of bad lines.
    """

    kind: str
    name: str
    flag: str
    setting: str
    configured: Configured
    maker: str
    problem: type[ValueError]

    def describe(self, *actions: argparse.ArgumentParser) -> None:
        """The options that all actions have."""
        default = f"the configured {self.setting}, or the file `{self.name}` in your configuration folder"
        where = f"{self.kind} (default: {default})"
        for action in actions:
            action.add_argument(self.flag, dest="file", type=pathlib.Path, metavar="FILE", help=where)
            action.add_argument("--config", type=pathlib.Path, metavar="FILE", help="configuration that names the file")
            action.add_argument("--json", action="store_true", help="print JSON")

    def file(self, args: argparse.Namespace, environ: Mapping[str, str]) -> pathlib.Path:
        """The file that is meant. Raises Ending."""
        try:
            file = args.file or self.configured(args.config, environ)
        except configure.ConfigError as error:
            raise Ending(str(error), MISUSED) from error
        return file or platformdirs.user_config_path("openai-proxy") / self.name

    def show(self, args: argparse.Namespace, file: pathlib.Path, read: Callable[[], Rows]) -> None:
        """Print what `read` finds in it, a row each. Raises Ending."""
        with self.told(file):
            rows, open_to_others = read(), exposed(file)
        if args.json:
            print_json(rows)
            return
        print_table([tuple(_plain(cell) for cell in row.values()) for row in rows])
        if open_to_others:
            print(f"others can read {file}: chmod 600 {file}", file=sys.stderr)

    @contextmanager
    def told(self, file: pathlib.Path) -> Iterator[None]:
        """Work on it. Raises Ending, for a problem in its words."""
        try:
            yield
        except self.problem as error:
            raise Ending(str(error)) from error
        except OSError as error:
            if isinstance(error, FileNotFoundError) and error.filename and pathlib.Path(error.filename) == file:
                raise Ending(f"there is no {self.kind} {file}; `openai-proxy {self.maker}` makes it") from error
            reason = "its folder is a file" if isinstance(error, FileExistsError) else error.strerror
            raise Ending(f"the {self.kind} {file} cannot be used: {reason}") from error


def _plain(cell: str | Sequence[str]) -> str:
    return cell if isinstance(cell, str) else ",".join(cell)
