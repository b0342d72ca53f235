"""`openai-proxy check`: is the configuration right, and what does it say?"""

from __future__ import annotations

import argparse
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from openai_proxy import default
from openai_proxy.cli.arguments import add_config
from openai_proxy.cli.callers import who_may_call
from openai_proxy.cli.ending import MISUSED
from openai_proxy.cli.installation import refuse_scattered
from openai_proxy.cli.table import print_json
from openai_proxy.config import Config, JobSettings
from openai_proxy.configure import ConfigError, Problem, file_of, read
from openai_proxy.configure.schema import json_schema
from openai_proxy.jobs.places import MEMORY, POSTGRESQL, path_of
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
    """The same, without passwords of databases and values of headers for upstreams, where keys of some servers are."""
    models = {
        name: msgspec.structs.replace(model, upstreams=tuple(map(_without_headers, model.upstreams)))
        for name, model in config.models.items()
    }
    database, files = config.jobs.database, config.jobs.files
    jobs = msgspec.structs.replace(
        config.jobs, database=database and without_password(database), files=files and without_password(files)
    )
    return msgspec.structs.replace(config, models=models, jobs=jobs)


def without_password(address: str) -> str:
    """An address as it may be shown."""
    return re.sub("password=[^&]*", "password=***", re.sub("(://[^/:@]*):.*@", r"\1:***@", address))


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
    print(f"keys: {who_may_call(keys, config.server, config.accounts)}")
    print(f"jobs: {where_jobs_are(config.jobs)}")
    for remark in remarks(config):
        print(f"note: {remark}")


def remarks(config: Config) -> list[str]:
    """What a server would warn of. Imports what serves."""
    from openai_proxy.app import create_app

    return create_app(config, Keys()).remarks()


def where_jobs_are(jobs: JobSettings) -> str:
    """In words; the file of a database need not be there yet."""
    database = jobs.database or ""
    if database == MEMORY:
        return "in memory, gone with the process"
    return f"in {without_password(database) if database.startswith(POSTGRESQL) else path_of(jobs)}"
