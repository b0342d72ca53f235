"""The file of accounts, and whether a password is right."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from openai_proxy.accounts import Accounts, book, checking, excused
from openai_proxy.accounts.book import AccountProblem
from openai_proxy.accounts.tries import FOR_NAME, KNOWN, OF_PEER, SECONDS, Tries, network
from openai_proxy.auth import NOBODY, Caller
from openai_proxy.config import AccountSettings, Config
from openai_proxy.errors import MissingAccount, TooManyTries, WrongAccount
from tests.accounts.people import ALICE, BOB
from tests.accounts.people import book as written

NAME, _, PASSWORD = ALICE.partition(":")
KEY = Caller("laptop", frozenset({"user"}), "1234")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def accounts(path: Path | None, clock: Clock | None = None, **settings: Any) -> Accounts:
    config = Config(accounts=AccountSettings(file=None if path is None else str(path), **settings))
    return Accounts(lambda: config, clock or Clock())


def check(known: Accounts, user: str, peer: str = "192.0.2.1") -> Coroutine[Any, Any, Caller]:
    name, _, password = user.partition(":")
    return known.check(name, password, peer, KEY)


def looking(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The hashes that passwords are compared with from now on."""
    looked: list[str] = []

    def fits(hash: str, password: str) -> bool:
        looked.append(hash)
        return book.fits(hash, password)

    monkeypatch.setattr(checking, "fits", fits)
    return looked


def test_a_password_is_kept_as_a_hash_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "accounts"
    assert book.add(path, "alice", PASSWORD)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PASSWORD not in path.read_text()
    assert "argon2" not in repr(book.listed(path))
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in path.read_text()
    assert book.fits(book.listed(path)[0].hash, PASSWORD)
    assert not book.fits(book.listed(path)[0].hash, PASSWORD + "x")
    assert list(path.parent.iterdir()) == [path]


def test_accounts_are_changed_and_removed_and_comments_stay(tmp_path: Path) -> None:
    path = written(tmp_path / "accounts")
    path.write_text("# ours\n\n" + path.read_text())
    before = book.listed(path)
    assert not book.add(path, "alice", "another one")
    assert [account.name for account in book.listed(path)] == ["bob@example.org", "alice"]
    assert book.listed(path)[0] == before[1]
    assert book.remove(path, "alice")
    assert not book.remove(path, "alice")
    assert path.read_text().startswith("# ours\n\nbob@")


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\n", "é", "x" * 65])
def test_names_that_cannot_be(tmp_path: Path, name: str) -> None:
    with pytest.raises(AccountProblem):
        book.add(tmp_path / "accounts", name, PASSWORD)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("password", ["", "short", "x" * 513, "tab\tulator", "line\nbreak"])
def test_passwords_that_cannot_be(tmp_path: Path, password: str) -> None:
    with pytest.raises(AccountProblem) as caught:
        book.add(tmp_path / "accounts", "a", password)
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize("password", ["x" * 8, "x" * 512, "mit Umlauten: äöü", "日本語のパスワード"])
def test_passwords_that_can_be(tmp_path: Path, password: str) -> None:
    path = written(tmp_path / "accounts", f"a:{password}")
    assert asyncio.run(check(accounts(path), f"a:{password}")).name == "user:a"


@pytest.mark.parametrize("line", ["alice", "alice secret-thing", "a:b $argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA", "a b c d"])
def test_a_bad_line_is_told_without_what_it_says(tmp_path: Path, line: str) -> None:
    path = tmp_path / "accounts"
    path.write_text(f"# ours\n{line}\n")
    with pytest.raises(AccountProblem, match="line 2") as caught:
        book.listed(path)
    assert "secret" not in str(caught.value)


def test_who_it_is(tmp_path: Path) -> None:
    known = accounts(written(tmp_path / "accounts"))
    found = asyncio.run(check(known, BOB))
    assert found == Caller("user:bob@example.org", frozenset({"user"}), "1234")
    assert known.closed
    for user in ("alice:wonder", "alice:", "nobody:wonder:land", f"bob@example.org:{PASSWORD}", "alice:" + "x" * 10**6):
        with pytest.raises(WrongAccount) as caught:
            asyncio.run(check(known, user, f"192.0.2.{len(user) % 99}"))
        assert str(caught.value) == "The name or the password is not valid."


def test_what_a_body_says(tmp_path: Path) -> None:
    path = written(tmp_path / "accounts")
    closed, open = accounts(path), accounts(path, access="open")
    account, admin = Caller("user:alice"), Caller("ops", frozenset({"user", "admin"}))

    async def of(known: Accounts, user: object, caller: Caller = KEY) -> str:
        return (await known.of_user(user, "192.0.2.1", caller)).name

    async def all_of_it() -> None:
        assert await of(closed, ALICE) == await of(open, ALICE) == "user:alice"
        assert await of(accounts(None), "alice:wrong") == "laptop"
        for user in (None, "", "alice", 5, ["alice:wonder:land"]):
            assert await of(open, user) == "laptop"
            assert await of(closed, user, account) == "user:alice"
            assert await of(closed, user, admin) == "ops"
            with pytest.raises(MissingAccount):
                await of(closed, user)
        for known in (closed, open):
            with pytest.raises(WrongAccount):
                await of(known, "alice:wrong", account)

    asyncio.run(all_of_it())
    assert not excused(NOBODY)
    assert not accounts(None).closed
    assert not accounts(None, access="closed")


def test_an_unknown_name_takes_as_much_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = looking(monkeypatch)
    known = accounts(written(tmp_path / "accounts"))
    for user in ("alice:wrong", "nobody:wrong", "nobody:wonder:land"):
        with pytest.raises(WrongAccount):
            asyncio.run(check(known, user))
    assert [hash.rpartition("$")[0].count("$") for hash in looked] == [4] * 3
    empty = accounts(written(tmp_path / "empty", "a:xxxxxxxx"))
    book.remove(tmp_path / "empty", "a")
    with pytest.raises(WrongAccount):
        asyncio.run(check(empty, "a:xxxxxxxx"))
    assert looked[-1] == checking.NOBODYS


def test_a_right_password_is_remembered_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = looking(monkeypatch)
    clock, path = Clock(), written(tmp_path / "accounts")
    known = accounts(path, clock)

    async def all_of_it() -> None:
        await asyncio.gather(*(check(known, ALICE) for _ in range(50)))
        assert len(looked) == 1
        clock.now += checking.REMEMBERED - 1
        await check(known, ALICE)
        assert len(looked) == 1
        clock.now += 2
        await check(known, ALICE)
        assert len(looked) == 2
        assert PASSWORD not in repr(vars(known))
        # Of who is not in the file any more nothing is remembered.
        book.remove(path, "alice")
        with pytest.raises(WrongAccount):
            await check(known, ALICE)
        path.unlink()
        with pytest.raises(WrongAccount):
            await check(known, BOB)

    asyncio.run(all_of_it())


def test_hashes_are_made_off_the_event_loop_and_two_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = accounts(written(tmp_path / "accounts"))
    go, running, most = threading.Event(), [0], [0]

    def slow(hash: str, password: str) -> bool:
        running[0] += 1
        most[0] = max(most[0], running[0])
        go.wait(10)
        running[0] -= 1
        return False

    monkeypatch.setattr(checking, "fits", slow)

    async def all_of_it() -> set[str]:
        room = checking.AT_ONCE + checking.WAITING
        tries = [asyncio.create_task(check(known, f"n{i}:xxxxxxxx", f"192.0.2.{i}")) for i in range(room + 1)]
        done, _ = await asyncio.wait(tries, return_when=asyncio.FIRST_COMPLETED)
        assert [type(task.exception()) for task in done] == [TooManyTries]
        go.set()
        return {type(error).__name__ for error in await asyncio.gather(*tries, return_exceptions=True)}

    assert asyncio.run(all_of_it()) == {"TooManyTries", "WrongAccount"}
    assert most == [checking.AT_ONCE]


def test_tries_are_counted_by_peer_and_by_name() -> None:
    clock = Clock()
    tries = Tries(clock)
    for number in range(OF_PEER):
        tries.begin("192.0.2.1", f"n{number}")
    with pytest.raises(TooManyTries) as caught:
        tries.begin("192.0.2.1", "another")
    assert caught.value.retry_after == SECONDS
    tries.begin("192.0.2.2", "n0")
    tries.forgive("192.0.2.1", "n0")
    tries.begin("192.0.2.1", "another")
    clock.now += SECONDS
    tries.begin("192.0.2.1", "another")
    for number in range(FOR_NAME):
        tries.begin(f"192.0.2.{number + 10}", "alice")
    with pytest.raises(TooManyTries):
        tries.begin("198.51.100.1", "alice")
    tries.begin("198.51.100.1", "bob")


def test_tries_elsewhere_count_too_and_one_that_is_refused_is_none() -> None:
    tries = Tries(Clock())
    tries.begin("192.0.2.1", "alice")
    tries.check("192.0.2.1", "alice", [None, (OF_PEER - 2, 0), (1, FOR_NAME - 1)])
    for elsewhere in ((OF_PEER, 0), (0, FOR_NAME)):
        tries.begin("192.0.2.1", "alice")
        with pytest.raises(TooManyTries):
            tries.check("192.0.2.1", "alice", [elsewhere])
    assert tries.made("192.0.2.1", "alice") == (1, 1)
    assert tries.made("192.0.2.2", "bob") == (0, 0)


def test_who_tries_from_a_whole_network_is_one(tmp_path: Path) -> None:
    assert network("2001:db8::1") == network("2001:db8::ffff:1") != network("2001:db8:1::1")
    assert network("192.0.2.1") == "192.0.2.1"
    assert network("") == ""
    tries = Tries(Clock())
    for number in range(KNOWN + 10):
        tries.begin(f"10.{number // 250}.{number % 250}.1", f"n{number}")
    assert len(tries._made) <= KNOWN


def test_a_right_password_does_not_count_and_a_flood_of_wrong_ones_ends(tmp_path: Path) -> None:
    known = accounts(written(tmp_path / "accounts"), Clock())

    async def all_of_it() -> None:
        for _ in range(OF_PEER + 1):
            known._right.clear()
            await check(known, ALICE)
        for number in range(OF_PEER):
            with pytest.raises(WrongAccount):
                await check(known, f"alice:wrong{number}")
        for user in ("alice:wrong", "nobody:wrong", BOB):
            with pytest.raises(TooManyTries):
                await check(known, user)
        # Whoever is known goes on.
        assert (await check(known, ALICE)).name == "user:alice"

    asyncio.run(all_of_it())


def test_a_change_of_others_forgets_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "accounts")
    known, looked = accounts(path), looking(monkeypatch)

    async def all_of_it() -> None:
        await check(known, ALICE)
        await check(known, BOB)
        for number in range(OF_PEER):
            with pytest.raises(WrongAccount):
                await check(known, f"nobody:wrong{number}")
        book.add(path, "eve", "xxxxxxxx")
        seen = len(looked)
        assert (await check(known, ALICE)).name == "user:alice"
        assert len(looked) == seen
        # The old password of an account is forgotten, and there were too many tries for another look.
        book.add(path, "alice", "another one")
        with pytest.raises(TooManyTries):
            await check(known, ALICE)
        assert (await check(known, BOB)).name == "user:bob@example.org"

    asyncio.run(all_of_it())


def test_with_a_bad_line_the_accounts_stay_as_they_were(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = written(tmp_path / "accounts")
    known, good = accounts(path), path.read_text()

    async def all_of_it() -> None:
        await check(known, ALICE)
        for text in (good + "eve\n", good + "eve\nmallory\n"):
            path.write_text(text)
            for user in (ALICE, BOB, ALICE):
                await check(known, user)
        path.write_text(good.splitlines()[1])
        with pytest.raises(WrongAccount):
            await check(known, ALICE)

    asyncio.run(all_of_it())
    told = [record.message for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == 2
    assert all(f"{path}, line 3: expected a name" in each for each in told)


def test_others_can_read_it(tmp_path: Path) -> None:
    path = written(tmp_path / "accounts")
    os.chmod(path, 0o644)
    book.add(path, "carol", "xxxxxxxx")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
