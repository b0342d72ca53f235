"""Whether a password is right: off the event loop, few at once, and in the same time for names that there are not."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from msgspec import structs

from openai_proxy.accounts.book import LONGEST, Account, AccountProblem, fits, listed, path_of
from openai_proxy.accounts.tries import Tries
from openai_proxy.auth import NOBODY, Caller, is_login, login
from openai_proxy.config import Config
from openai_proxy.errors import MissingAccount, TooManyTries, WrongAccount

# Each takes 64 MiB and a core for some 50 ms.
AT_ONCE, WAITING = 2, 16
# Seconds for which a right password is not hashed again, and how many of them.
REMEMBERED, MOST = 300.0, 1000
PREFIX = "user:"
CHALLENGE = ((b"www-authenticate", b'Basic realm="openai-proxy", charset="UTF-8"'),)
# Of a random password: for a file without accounts.
NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$kotXr2usWKQOlWR8tvMZ9w$qSmC0p+COb/HUiyXSxMIEK7YDKv/R5WpQ558Tqx3MUc"

log = logging.getLogger("openai_proxy.accounts")

Made: TypeAlias = tuple[int, int]
AskOthers: TypeAlias = Callable[[tuple[str, str]], Awaitable[Sequence[Made | None]]]


async def alone(who: tuple[str, str]) -> Sequence[Made | None]:
    """What the others say where there are none."""
    return ()


class Accounts:
    """The accounts of a server, read again whenever the file has changed. `config` is asked each time.

    `others` tells of each process that serves the same what its `tried` says; None for one that did not answer.
    """

    def __init__(
        self, config: Callable[[], Config], clock: Callable[[], float] = time.monotonic, others: AskOthers = alone
    ) -> None:
        self._config = config
        self._clock = clock
        self._secret = secrets.token_bytes(32)
        self._tries = Tries(clock)
        self._others = others
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._known: Mapping[str, Account] = {}
        self._version: object = None
        self._right: OrderedDict[bytes, tuple[float, Account]] = OrderedDict()
        self._checking: dict[bytes, asyncio.Task[bool]] = {}

    def __bool__(self) -> bool:
        """Whether there is a file of accounts."""
        return self._config().accounts.file is not None

    @property
    def closed(self) -> bool:
        """Whether everybody needs an account."""
        return bool(self) and self._config().accounts.access == "closed"

    async def of_head(self, head: Mapping[bytes, bytes], peer: str, caller: Caller) -> Caller:
        """Who calls by HTTP Basic, where a request has that. Raises BadHead, or as `check` does."""
        given = login(head) if self else None
        return caller if given is None else await self.check(*given, peer, caller)

    async def of_user(self, user: object, peer: str, caller: Caller) -> Caller:
        """Who calls by what a body has as `user`: "name:password". Anything else is none, which is fine where access is
        open or the caller is known as an account already. Raises as `check` does.
        """
        if not self:
            return caller
        if is_login(user):
            name, _, password = user.partition(":")
            return await self.check(name, password, peer, caller)
        if self.closed and not excused(caller):
            raise MissingAccount(param="user", headers=CHALLENGE)
        return caller

    async def check(self, name: str, password: str, peer: str, caller: Caller) -> Caller:
        """`caller` (by a key, or NOBODY) as the account of that name: its `name` is then `user:NAME`, which owns its
        jobs and documents. The hash is computed on another thread and a right password remembered for a while.

        `peer` is the client's address. Raises WrongAccount (401), the same and after as long for names that there are
        not, or TooManyTries (429) after too many wrong ones from a peer or for a name, or with too many to look at.
        """
        self._read()
        digest = hmac.digest(
            self._secret, f"{len(name)} {name}{password}".encode("utf-8", "surrogatepass"), hashlib.sha256
        )
        if digest not in self._right or self._right[digest][0] <= self._clock():
            await self._look(digest, name, password, peer)
        return structs.replace(caller, name=PREFIX + name)

    def mark(self, user: str) -> bytes | None:
        """What stands for the password of the account that a caller of that name has: with another password it is
        another one. None where there is no such account any more.
        """
        if not self:
            return None
        self._read()
        account = self._known.get(user.removeprefix(PREFIX))
        return None if account is None else hashlib.sha256(account.hash.encode()).digest()

    def tried(self, who: tuple[str, str]) -> Made:
        """How many tries this process knows of a peer, and for a name."""
        return self._tries.made(*who)

    async def _look(self, digest: bytes, name: str, password: str, peer: str) -> None:
        task = self._checking.get(digest)
        if task is None:
            if len(self._checking) >= AT_ONCE + WAITING:
                raise TooManyTries("Too many passwords are looked at; try again soon.", retry_after=1.0)
            self._tries.begin(peer, name[:LONGEST])
            task = asyncio.create_task(self._compare(digest, name, password, peer), name="password")
            self._checking[digest] = task
            task.add_done_callback(partial(self._compared, digest))
        if not await asyncio.shield(task):
            raise WrongAccount(param="user", headers=CHALLENGE)

    def _compared(self, digest: bytes, task: asyncio.Task[bool]) -> None:
        del self._checking[digest]
        if not task.cancelled():
            task.exception()  # is looked at, should nobody wait for it any more

    async def _compare(self, digest: bytes, name: str, password: str, peer: str) -> bool:
        who = peer, name[:LONGEST]
        self._tries.check(*who, await self._others(who))
        async with self._turns:
            known = self._known.get(name)
            # Somebody's hash, for as much work: whether it fits is then of no account.
            hash = (known or next(iter(self._known.values()), None) or Account("", NOBODYS)).hash
            right = await asyncio.to_thread(fits, hash, password[: LONGEST + 1])
        if not right or known is None:
            log.warning("wrong name or password from %s", peer)
            return False
        self._tries.forgive(*who)
        if self._is(known):
            self._right[digest] = self._clock() + REMEMBERED, known
            if len(self._right) > MOST:
                self._right.popitem(last=False)
        return True

    def _is(self, account: Account) -> bool:
        """Whether an account still has that password."""
        now = self._known.get(account.name)
        return now is not None and now.hash == account.hash

    def _read(self) -> None:
        """Look whether the file is another one. Where that has a bad line all stays as it was; what cannot be read has
        no accounts: nobody comes in by an old one.
        """
        file = self._config().accounts.file
        try:
            path = path_of(file or "")
            found = path.stat()
            version = (path, found.st_mtime_ns, found.st_ino, found.st_size)
            if version == self._version:
                return
            known = {account.name: account for account in listed(path)}
        except AccountProblem as error:
            log.error("the accounts file cannot be used, the accounts stay as they were: %s", error)
            self._version = version
            return
        except OSError as error:
            if self._version is not error.__class__:
                log.error("the accounts file %s cannot be read: %s", file, error.strerror)
            known, self._version = {}, error.__class__
        else:
            self._version = version
        self._known = known
        self._right = OrderedDict((digest, right) for digest, right in self._right.items() if self._is(right[1]))


def excused(caller: Caller) -> bool:
    """Whether who calls is an account, or an operator by a key, who needs none."""
    return caller.name.startswith(PREFIX) or (caller is not NOBODY and "admin" in caller.scopes)
