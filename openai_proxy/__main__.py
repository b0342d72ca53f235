"""The command line. A command's module is imported only when that command is given."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
from collections.abc import Sequence

from openai_proxy import __version__
from openai_proxy.cli.ending import INTERRUPTED, PIPE_CLOSED, Ending

COMMANDS = {
    "serve": "serve models over HTTP",
    "chat": "talk to a model in the terminal",
    "models": "list the models of a server and their states",
    "check": "check the configuration",
    "keys": "make, list and revoke API keys",
    "doctor": "see what can run on this machine, and what is missing",
}
EPILOG = """\
A first try:
  openai-proxy serve                     two small models on http://127.0.0.1:8000
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
            module = importlib.import_module(f"openai_proxy.cli.{name}")
            module.describe(command)
            command.set_defaults(run=module.run)
    return parser.parse_args(arguments)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    args = parse(sys.argv[1:] if argv is None else argv)
    try:
        code: int = args.run(args, os.environ)
        sys.stdout.flush()
    except Ending as ending:
        sys.stderr.write(f"openai-proxy: {ending}\n")
        return ending.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the interpreter flushes again and fails
        return PIPE_CLOSED
    return code


if __name__ == "__main__":
    sys.exit(main())
