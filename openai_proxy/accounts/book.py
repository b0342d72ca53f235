"""The file of accounts. It has one line an account, fields separated by spaces, and comment lines that start with `#`:

    name  argon2-hash-of-the-password  time-of-creation

Passwords are never kept, logged or raised.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct

from openai_proxy.rewriting import rewrite

NAME = re.compile(r"[A-Za-z0-9._@+-]{1,64}").fullmatch
SHORTEST, LONGEST = 8, 512
HEADER = "# Accounts of openai-proxy: name, argon2 hash of the password, created. The passwords are not kept.\n"
HASH = re.compile(
    r"\$argon2(id|i|d)\$v=\d{1,3}\$m=\d{1,9},t=\d{1,4},p=\d{1,3}\$[A-Za-z0-9+/]+\$[A-Za-z0-9+/]+"
).fullmatch


class AccountProblem(ValueError):
    """A name, a password or a line of the file is not valid. Never holds a password."""


class Account(Struct, frozen=True):
    """One account as it is stored."""

    name: str
    hash: str
    created: str = ""

    def __repr__(self) -> str:
        return f"Account({self.name!r})"


def listed(path: Path) -> list[Account]:
    """The accounts of a file. Raises AccountProblem with the number of the bad line, or OSError."""
    return [_parse(path, number, line) for number, line in enumerate(_lines(path), 1) if _is_account(line)]


def add(path: Path, name: str, password: str) -> bool:
    """Add an account, or give it another password; whether it is new. The file is made, for its owner only, when it is
    not there. Raises AccountProblem or OSError.
    """
    check_name(name)
    if not SHORTEST <= len(password) <= LONGEST or not password.isprintable():
        raise AccountProblem(f"a password is {SHORTEST} to {LONGEST} printable characters")
    lines, known = _without(path, name) if path.exists() else ([HEADER], False)
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    rewrite(path, [*lines, f"{name} {hashed(password)} {created}\n"])
    return not known


def check_name(name: str) -> None:
    """Raises AccountProblem."""
    if not NAME(name):
        raise AccountProblem("an account's name is 1 to 64 letters, digits and . _ @ + -")


def remove(path: Path, name: str) -> bool:
    """Remove an account; whether there was one. Raises AccountProblem or OSError."""
    lines, known = _without(path, name)
    if known:
        rewrite(path, lines)
    return known


def hashed(password: str) -> str:
    """Its hash: by RFC 9106's second recommendation, which takes 64 MiB and some 50 ms."""
    import argon2  # takes its time to import, which who has no accounts need not wait for

    return argon2.PasswordHasher().hash(password)


def fits(hash: str, password: str) -> bool:
    """Whether the hash is that password's. Takes as long as to make it."""
    import argon2

    try:
        return argon2.PasswordHasher().verify(hash, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError, UnicodeEncodeError):
        return False


def path_of(file: str) -> Path:
    """Where the configured file is."""
    return Path(os.path.expanduser(file))


def _without(path: Path, name: str) -> tuple[list[str], bool]:
    """The lines but for an account's, and whether it had one."""
    lines = _lines(path)
    of_name = [_is_account(line) and _parse(path, number, line).name == name for number, line in enumerate(lines, 1)]
    return [line for line, gone in zip(lines, of_name, strict=True) if not gone], any(of_name)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines(keepends=True)
    except UnicodeDecodeError as error:
        raise AccountProblem(f"{path} is not a file of accounts: it is not UTF-8 text") from error


def _is_account(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _parse(path: Path, number: int, line: str) -> Account:
    fields = line.split()
    if len(fields) not in (2, 3) or not NAME(fields[0]):
        raise AccountProblem(f"{path}, line {number}: expected a name, an argon2 hash and maybe a time")
    if not HASH(fields[1]):
        raise AccountProblem(f"{path}, line {number}: this is no argon2 hash")
    return Account(*fields)
