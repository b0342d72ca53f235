"""`openai-proxy users`: accounts come and go, and nobody sees a password."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from openai_proxy.accounts import book
from tests.cli.terminal import here, terminal

PASSWORD = "wonder:land"


def add(file: Path, name: str = "alice", password: str = PASSWORD, *more: str) -> str:
    done = here("users", "add", name, "--file", str(file), *more, stdin=f"{password}\n")
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    return done.stdout + done.stderr


def test_accounts_are_added_listed_and_removed(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "accounts"
    assert add(file).startswith("added alice; ")
    assert add(file, "bob").startswith("added bob; ")
    assert add(file).startswith("changed the password of alice; ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(add(file, "carol", PASSWORD, "--json")) == {"name": "carol", "new": True, "file": str(file)}
    listed = here("users", "list", "--file", str(file), "--json")
    assert [account["name"] for account in json.loads(listed.stdout)] == ["bob", "alice", "carol"]
    table = here("users", "list", OPENAI_PROXY_ACCOUNTS_FILE=str(file))
    assert [line.split()[0] for line in table.stdout.splitlines()] == ["bob", "alice", "carol"]
    assert "argon2" not in table.stdout + table.stderr
    assert here("users", "remove", "bob", "--file", str(file)).stderr == "removed bob\n"
    gone = json.loads(here("users", "remove", "carol", "--json", "--file", str(file)).stdout)
    assert gone == {"name": "carol", "removed": True, "file": str(file)}
    assert [account.name for account in book.listed(file)] == ["alice"]
    assert book.fits(book.listed(file)[0].hash, PASSWORD)


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (("add", "a:b"), PASSWORD, "an account's name is"),
        (("add", "alice"), "short", "a password is 8 to 512"),
        (("add", "alice"), "", "a password is 8 to 512"),
        (("list",), "", "there is no accounts file"),
        (("remove", "alice"), "", "there is no accounts file"),
    ],
)
def test_what_cannot_be(tmp_path: Path, arguments: tuple[str, ...], stdin: str, says: str) -> None:
    done = here("users", *arguments, "--file", str(tmp_path / "accounts"), stdin=stdin)
    assert done.returncode == 1
    assert says in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_none_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    file.write_text("secret-thing\n")
    for arguments in (("add", "alice"), ("list",), ("remove", "alice")):
        done = here("users", *arguments, "--file", str(file), stdin=PASSWORD)
        assert done.returncode == 1
        assert "line 1" in done.stderr
        assert "secret" not in done.stderr
    assert file.read_text() == "secret-thing\n"
    file.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in here("users", "list", "--file", str(file)).stderr
    unknown = here("users", "remove", "alice", "--file", str(book_of(tmp_path)))
    assert (unknown.returncode, "no account 'alice'" in unknown.stderr) == (1, True)


def book_of(folder: Path) -> Path:
    (folder / "other").write_text("# nobody\n")
    return folder / "other"


def test_others_can_read_it(tmp_path: Path) -> None:
    os.chmod(book_of(tmp_path), 0o644)
    assert "chmod 600" in here("users", "list", "--file", str(tmp_path / "other")).stderr


def test_a_person_is_asked_twice_and_sees_nothing(tmp_path: Path) -> None:
    file = tmp_path / "accounts"
    with terminal("users", "add", "alice", "--file", str(file)) as screen:
        screen.wait_for("Password: ")
        screen.press(f"{PASSWORD}\r")
        screen.wait_for("Once more: ")
        screen.press(f"{PASSWORD}\r")
        screen.wait_for("added alice")
        assert PASSWORD not in screen.text
    assert book.fits(book.listed(file)[0].hash, PASSWORD)


def test_wrong_settings_are_told(tmp_path: Path) -> None:
    (tmp_path / "toml").write_text('[models.a]\nbackend = "echo"\n[accounts]\nfile = "absent"\n')
    checked = here("check", "--config", str(tmp_path / "toml"))
    assert checked.returncode == 2
    assert f'the accounts file "{Path.cwd() / "absent"}" cannot be read: No such file' in checked.stdout
    (tmp_path / "bad").write_text("alice secret-thing\n")
    checked = here("check", "--config", str(tmp_path / "toml"), OPENAI_PROXY_ACCOUNTS_FILE=str(tmp_path / "bad"))
    assert "line 1: this is no argon2 hash" in checked.stdout
    assert "secret" not in checked.stdout
    assert here("users", "list", "--config", str(tmp_path / "nowhere")).returncode == 2


def test_check_says_who_needs_an_account(tmp_path: Path) -> None:
    (tmp_path / "toml").write_text('[models.a]\nbackend = "echo"\n')
    settings = {"OPENAI_PROXY_ACCOUNTS_FILE": str(book_of(tmp_path))}
    told = ("check", "--config", str(tmp_path / "toml"))
    assert "keys: none, but who calls needs an account" in here(*told, **settings).stdout
    keyed = here(*told, OPENAI_PROXY_KEYS="sk-12345678", **settings)
    assert "keys: 1 key may call, with an account" in keyed.stdout
    open_to_all = here(*told, OPENAI_PROXY_ACCOUNTS_ACCESS="open", **settings)
    assert "keys: none, so everybody on this machine may call" in open_to_all.stdout
