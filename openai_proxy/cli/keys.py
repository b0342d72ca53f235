"""`openai-proxy keys`: make, list and revoke API keys. A key is shown once; the file holds only its digest."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Mapping

import platformdirs

from openai_proxy import configure, keys
from openai_proxy.cli.ending import MISUSED, Ending
from openai_proxy.cli.kept import told
from openai_proxy.cli.table import print_json, print_table
from openai_proxy.rewriting import exposed

DESCRIPTION = """\
Make, list and revoke API keys. The key file holds digests, never keys.

  openai-proxy keys new laptop              prints the new key, once
  openai-proxy keys new ops --scope admin   may also read /metrics and use /admin
  openai-proxy keys list
  openai-proxy keys revoke laptop           removes every key of that name

A running server takes a changed file on SIGHUP, or by itself when it was started with --watch.
"""
WHERE = "key file (default: the configured auth.key_file, or the file `keys` in your configuration folder)"
FILE = "key file", "keys new NAME", keys.KeyProblem


def describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    new = actions.add_parser("new", help="make a key and print it, once")
    new.add_argument("name", metavar="NAME", help="whose key it is, as it stands in logs: letters, digits, . _ -")
    new.add_argument("--scope", choices=sorted(keys.SCOPES), default="user", help="admin: /metrics and /admin as well")
    listing = actions.add_parser("list", help="list names, scopes and times, not keys")
    revoke = actions.add_parser("revoke", help="remove every key of a name")
    revoke.add_argument("name", metavar="NAME")
    for action in (new, listing, revoke):
        action.add_argument("--key-file", type=pathlib.Path, metavar="FILE", help=WHERE)
        action.add_argument("--config", type=pathlib.Path, metavar="FILE", help="configuration that names the key file")
        action.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    actions = {"new": new, "list": listing, "revoke": revoke}
    try:
        file = args.key_file or configure.key_file(args.config, environ) or default_file()
    except configure.ConfigError as error:
        raise Ending(str(error), MISUSED) from error
    actions[args.action](args, file)
    return 0


def default_file() -> pathlib.Path:
    return platformdirs.user_config_path("openai-proxy") / "keys"


def new(args: argparse.Namespace, file: pathlib.Path) -> None:
    scopes = f"{args.scope},user" if args.scope != "user" else "user"
    with told(file, *FILE):
        token, line = keys.new(args.name, scopes)
        keys.add(file, line)
    if args.json:
        print_json({"name": args.name, "scopes": sorted(scopes.split(",")), "key": token, "file": str(file)})
        return
    print(token)
    hint = f"This key is not shown again. {file} knows its digest: openai-proxy serve --key-file {file}"
    print(hint, file=sys.stderr)


def listing(args: argparse.Namespace, file: pathlib.Path) -> None:
    with told(file, *FILE):
        known, open_to_others = keys.listed(file), exposed(file)
    if args.json:
        print_json([{"name": key.name, "scopes": sorted(key.scopes), "created": key.created} for key in known])
        return
    print_table([(key.name, ",".join(sorted(key.scopes)), key.created) for key in known])
    if open_to_others:
        print(f"others can read {file}: chmod 600 {file}", file=sys.stderr)


def revoke(args: argparse.Namespace, file: pathlib.Path) -> None:
    with told(file, *FILE):
        count = keys.revoke(file, args.name)
    if not count:
        raise Ending(f"{file} has no key of {args.name!r}; `openai-proxy keys list` lists the names")
    if args.json:
        print_json({"name": args.name, "revoked": count, "file": str(file)})
    else:
        print(f"revoked {'1 key' if count == 1 else f'{count} keys'} of {args.name}", file=sys.stderr)
