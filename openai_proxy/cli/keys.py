"""`openai-proxy keys`: make, list and revoke API keys. A key is shown once; the file holds only its digest."""

from __future__ import annotations

import argparse
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from openai_proxy import configure, keys
from openai_proxy.cli.ending import Ending
from openai_proxy.cli.kept import Kept
from openai_proxy.cli.table import print_json

DESCRIPTION = """\
Make, list and revoke API keys. The key file holds digests, never keys.

  openai-proxy keys new laptop              prints the new key, once
  openai-proxy keys new ops --scope admin   may also read /metrics and use /admin
  openai-proxy keys list
  openai-proxy keys revoke laptop           removes every key of that name

A running server takes a changed file on SIGHUP, or by itself when it was started with --watch.
"""
FILE = Kept(
    kind="key file",
    name="keys",
    flag="--key-file",
    setting="auth.key_file",
    configured=configure.key_file,
    maker="keys new NAME",
    problem=keys.KeyProblem,
)


def describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    new = actions.add_parser("new", help="make a key and print it, once")
    new.add_argument("name", metavar="NAME", help="whose key it is, as it stands in logs: letters, digits, . _ -")
    new.add_argument("--scope", choices=sorted(keys.SCOPES), default="user", help="admin: /metrics and /admin as well")
    listing = actions.add_parser("list", help="list names, scopes and times, not keys")
    revoke = actions.add_parser("revoke", help="remove every key of a name")
    revoke.add_argument("name", metavar="NAME")
    FILE.describe(new, listing, revoke)


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    actions = {"new": new, "list": listing, "revoke": revoke}
    actions[args.action](args, FILE.file(args, environ))
    return 0


def new(args: argparse.Namespace, file: pathlib.Path) -> None:
    scopes = f"{args.scope},user" if args.scope != "user" else "user"
    with FILE.told(file):
        token, line = keys.new(args.name, scopes)
        keys.add(file, line)
    if args.json:
        print_json({"name": args.name, "scopes": sorted(scopes.split(",")), "key": token, "file": str(file)})
        return
    print(token)
    hint = f"This key is not shown again. {file} knows its digest: openai-proxy serve --key-file {file}"
    print(hint, file=sys.stderr)


def listing(args: argparse.Namespace, file: pathlib.Path) -> None:
    def rows() -> list[dict[str, Any]]:
        known = keys.listed(file)
        return [{"name": key.name, "scopes": sorted(key.scopes), "created": key.created} for key in known]

    FILE.show(args, file, rows)


def revoke(args: argparse.Namespace, file: pathlib.Path) -> None:
    with FILE.told(file):
        count = keys.revoke(file, args.name)
    if not count:
        raise Ending(f"{file} has no key of {args.name!r}; `openai-proxy keys list` lists the names")
    if args.json:
        print_json({"name": args.name, "revoked": count, "file": str(file)})
    else:
        print(f"revoked {'1 key' if count == 1 else f'{count} keys'} of {args.name}", file=sys.stderr)
