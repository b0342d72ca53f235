"""`openai-proxy doctor`: what can run here, what is missing, and the command that adds it."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Mapping

from openai_proxy.cli import findings
from openai_proxy.cli.arguments import add_config
from openai_proxy.cli.ending import FAILED
from openai_proxy.cli.findings import Finding
from openai_proxy.cli.plain import one_line
from openai_proxy.cli.table import print_json
from openai_proxy.config import Config
from openai_proxy.configure import ConfigError, file_of, read

DESCRIPTION = """\
See what can run on this machine: Python, memory, engines, weights, port, limits. For what is missing the command
that adds it is told. The exit code is 1 when what is configured (by default the small models) cannot run.

  openai-proxy doctor
  openai-proxy doctor --json
"""
MARKS = {"ok": ("ok", "32"), "note": ("note", "33"), "missing": ("MISSING", "31")}


def describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    found = examine(args.config, environ)
    able = all(finding.state != "missing" for finding in found)
    if args.json:
        print_json({"ok": able, "findings": found})
    else:
        coloured = sys.stdout.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"
        show(found, coloured=coloured)
        print("all that is configured can run" if able else "what is configured cannot run: mend what is MISSING")
    return 0 if able else FAILED


def examine(file: pathlib.Path | None, environ: Mapping[str, str]) -> list[Finding]:
    """All findings; those that depend on the configuration only when it is right."""
    found = [*findings.interpreter(), *findings.machine(), *findings.descriptors()]
    try:
        config = read(file, environ, {})
    except ConfigError as error:
        found += [Finding("configuration", "missing", str(problem), "openai-proxy check") for problem in error.problems]
        return [*found, *findings.engines(Config())]
    named = file_of(file, environ)
    found.append(Finding("configuration", "ok", f"{named or 'the built-in one'}: {', '.join(config.models)}"))
    return [*found, *findings.engines(config), *findings.weights(config), *findings.port(config)]


def show(found: list[Finding], *, coloured: bool) -> None:
    width = max(len(finding.subject) for finding in found)
    for finding in found:
        mark, colour = MARKS[finding.state]
        label = f"{mark:7}"
        painted = f"\x1b[{colour}m{label}\x1b[0m" if coloured else label
        print(f"{painted}  {finding.subject:{width}}  {one_line(finding.text)}")
        if finding.fix:
            print(f"{'':7}  {'':{width}}  -> {finding.fix}")
