"""`openai-proxy users`: add, list and remove accounts. Passwords are asked for, and only their hashes are kept."""

from __future__ import annotations

import argparse
import getpass
import pathlib
import sys
from collections.abc import Mapping

from openai_proxy import configure
from openai_proxy.accounts import book
from openai_proxy.cli.ending import Ending
from openai_proxy.cli.kept import Kept
from openai_proxy.cli.table import print_json

DESCRIPTION = """\
Add, list and remove accounts: names with passwords, which h2oGPT's clients send. The file holds argon2 hashes.

  openai-proxy users add alice              asks for the password; for a known name it is a new one
  openai-proxy users add alice < password   takes it from the first line of a file
  openai-proxy users list
  openai-proxy users remove alice

A running server takes a changed file at once.
"""
FILE = Kept(
    kind="accounts file",
    name="accounts",
    flag="--file",
    setting="accounts.file",
    configured=configure.accounts_file,
    maker="users add NAME",
    problem=book.AccountProblem,
)


def describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    add = actions.add_parser("add", help="add an account, or give it another password")
    add.add_argument("name", metavar="NAME", help="1 to 64 letters, digits and . _ @ + -")
    listing = actions.add_parser("list", help="list names and times, not hashes")
    remove = actions.add_parser("remove", help="remove an account")
    remove.add_argument("name", metavar="NAME")
    FILE.describe(add, listing, remove)


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    actions = {"add": add, "list": listing, "remove": remove}
    actions[args.action](args, FILE.file(args, environ))
    return 0


def password() -> str:
    """Asked for twice in a terminal, else the first line of the standard input. Raises Ending."""
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    first = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != first:
        raise Ending("the passwords are not the same")
    return first


def add(args: argparse.Namespace, file: pathlib.Path) -> None:
    with FILE.told(file):
        book.check_name(args.name)
        new = book.add(file, args.name, password())
    if args.json:
        print_json({"name": args.name, "new": new, "file": str(file)})
        return
    done = "added" if new else "changed the password of"
    print(f"{done} {args.name}; {file} knows the password's hash", file=sys.stderr)


def listing(args: argparse.Namespace, file: pathlib.Path) -> None:
    FILE.show(args, file, lambda: [{"name": each.name, "created": each.created} for each in book.listed(file)])


def remove(args: argparse.Namespace, file: pathlib.Path) -> None:
    with FILE.told(file):
        known = book.remove(file, args.name)
    if not known:
        raise Ending(f"{file} has no account {args.name!r}; `openai-proxy users list` lists them")
    if args.json:
        print_json({"name": args.name, "removed": known, "file": str(file)})
    else:
        print(f"removed {args.name}", file=sys.stderr)
