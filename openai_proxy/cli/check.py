"""`openai-proxy check`: is the configuration right, and what does it say?"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping
from typing import Any

import msgspec

from openai_proxy import default
from openai_proxy.cli.arguments import add_config
from openai_proxy.cli.callers import who_may_call
from openai_proxy.cli.ending import MISUSED
from openai_proxy.cli.installation import refuse_scattered
from openai_proxy.cli.table import print_json
from openai_proxy.config import Config
from openai_proxy.configure import ConfigError, Problem, file_of, read
from openai_proxy.configure.schema import json_schema
from openai_proxy.keys import KeyProblem, Keys

DESCRIPTION = """\
Check the configuration without serving: file, environment, backends and their options, key file.
Every problem is told with its line and the nearest valid name; the exit code is 2 if there is one.

  openai-proxy check --config openai-proxy.toml
  openai-proxy check --schema > openai-proxy.schema.json    then, as the file's first line:
                                                            #:schema ./openai-proxy.schema.json
  openai-proxy check --default > openai-proxy.toml          a file to start from
"""


def describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="print the whole configuration, or the problems, as JSON")
    output = parser.add_mutually_exclusive_group()
    output.add_argument(
        "--schema", action="store_true", help="print the file's JSON Schema, for editors, and do no more"
    )
    output.add_argument("--default", action="store_true", help="print the built-in configuration, and do no more")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if args.default:
        print(default.TEXT, end="")
        return 0
    if args.schema:
        print_json(json_schema())
        return 0
    refuse_scattered()
    try:
        config = read(args.config, environ, {})
        keys = Keys.read(config.auth, environ)
    except ConfigError as error:
        print_problems(error.problems, args.json)
        return MISUSED
    except KeyProblem as error:
        print_problems((Problem("keys", str(error)),), args.json)
        return MISUSED
    if args.json:
        print_json({"ok": True, "problems": [], "config": without_secrets(config)})
    else:
        summarise(config, len(keys), file_of(args.config, environ))
    return 0


def without_secrets(config: Config) -> Config:
    """The same, without the values of headers that go to upstreams: keys of some servers are among them."""
    models = {
        name: msgspec.structs.replace(model, upstreams=tuple(map(_without_headers, model.upstreams)))
        for name, model in config.models.items()
    }
    return msgspec.structs.replace(config, models=models)


def _without_headers(upstream: Mapping[str, Any]) -> Mapping[str, Any]:
    headers = upstream.get("headers")
    return upstream if headers is None else {**upstream, "headers": dict.fromkeys(headers, "***")}


def print_problems(problems: tuple[Problem, ...], as_json: bool) -> None:
    if as_json:
        print_json({"ok": False, "problems": problems})
        return
    for problem in problems:
        print(problem)
    print("1 problem" if len(problems) == 1 else f"{len(problems)} problems")


def summarise(config: Config, keys: int, file: pathlib.Path | None) -> None:
    print(f"{file or 'the built-in configuration'} is right")
    port = f"port {config.server.port}" if config.server.port else "a free port"
    workers = f", with {config.server.workers} workers" if config.server.workers > 1 else ""
    print(f"listens on {config.server.host}, {port}{workers}")
    for name, model in config.models.items():
        also = f", also called {', '.join(model.aliases)}" if model.aliases else ""
        mark = ", serves requests that name no model" if name == config.default_model else ""
        print(f"model {name}: {model.backend}{also}{mark}")
    print(f"keys: {who_may_call(keys, config.server)}")
