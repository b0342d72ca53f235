"""The command line. A command's module is imported only when that command is given."""

from __future__ import annotations

import argparse
import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence

from openai_proxy import __version__
from openai_proxy.cli.ending import FAILED, INTERRUPTED, PIPE_CLOSED, Ending

COMMANDS = {
    "serve": "serve models over HTTP",
    "chat": "talk to a model in the terminal",
    "models": "list the models of a server and their states",
    "jobs": "list, follow and cancel the jobs of a server",
    "check": "check the configuration",
    "keys": "make, list and revoke API keys",
    "users": "add, list and remove accounts",
    "ray": "put models and the server on a Ray cluster, and take them away",
    "doctor": "see what can run on this machine, and what is missing",
    "fake-upstream": "serve OpenAI's API without a model, well or badly, for tests",
}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}
EPILOG = """\
A first try:
  openai-proxy serve                     small models on http://127.0.0.1:8000
  openai-proxy chat "What is a proxy?"   in a second terminal

`openai-proxy COMMAND --help` tells more of each command.
"""


class Parser(argparse.ArgumentParser):
    """Tells of an argument that it does not know with its own usage, not with that of the command above it."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        known, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return known, unknown


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The parsed command line; `run` is the function of the command's module."""
    parser = Parser(
        prog="openai-proxy",
        description="An inference server that speaks OpenAI's API over pluggable engines.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"openai-proxy {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    given = next((argument for argument in arguments if not argument.startswith("-")), None)
    for name, summary in COMMANDS.items():
        command = commands.add_parser(
            name, help=summary, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
        )
        if name == given:
            module = importlib.import_module(f"openai_proxy.cli.{name.replace('-', '_')}")
            module.describe(command)
            command.set_defaults(run=module.run)
    return parser.parse_args(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted."""
    fill_standard_streams()
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    args = parse(sys.argv[1:] if argv is None else argv)
    try:
        code: int = args.run(args, os.environ)
        sys.stdout.flush()
    except Ending as ending:
        return complain(str(ending), ending.code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        discard_output()
        return PIPE_CLOSED
    except OSError as error:
        if error.errno not in FULL:
            raise
        discard_output()
        return complain(f"cannot write: {error.strerror}", FAILED)
    return code


def fill_standard_streams() -> None:
    """Where a standard stream is closed, let it lead nowhere: else whatever is opened next would take its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.open(os.devnull, os.O_RDWR), mode, closefd=False))  # noqa: SIM115 - for good


def complain(message: str, code: int) -> int:
    """Tell on standard error, if anybody can hear it, why the command ends; returns `code`."""
    with contextlib.suppress(OSError):
        sys.stderr.write(f"openai-proxy: {message}\n")
        sys.stderr.flush()
    return code


def discard_output() -> None:
    """Lead standard output nowhere: else the interpreter flushes it again at its end, and fails."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
