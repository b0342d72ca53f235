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

from openai_proxy.rewriting import Book

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
    return BOOK.listed(path)


def add(path: Path, name: str, password: str) -> bool:
    """Add an account, or give it another password; whether it is new. The file is made, for its owner only, when it is
    not there. Raises AccountProblem or OSError.
    """
    check_name(name)
    if not SHORTEST <= len(password) <= LONGEST or not password.isprintable():
        raise AccountProblem(f"a password is {SHORTEST} to {LONGEST} printable characters")
    created = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return not BOOK.add(path, f"{name} {hashed(password)} {created}\n", instead=name)


def check_name(name: str) -> None:
    """Raises AccountProblem."""
    if not NAME(name):
        raise AccountProblem("an account's name is 1 to 64 letters, digits and . _ @ + -")


def remove(path: Path, name: str) -> bool:
    """Remove an account; whether there was one. Raises AccountProblem or OSError."""
    return BOOK.remove(path, name) > 0


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
    """Where the configured file is, as an absolute path."""
    return Path(os.path.abspath(os.path.expanduser(file)))


def _parse(line: str) -> Account:
    fields = line.split()
    if len(fields) not in (2, 3) or not NAME(fields[0]):
        raise AccountProblem("expected a name, an argon2 hash and maybe a time")
    if not HASH(fields[1]):
        raise AccountProblem("this is no argon2 hash")
    return Account(*fields)


BOOK = Book(kind="a file of accounts", header=HEADER, parse=_parse, problem=AccountProblem)
