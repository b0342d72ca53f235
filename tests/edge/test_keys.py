"""Keys in a file and in the environment."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from openai_proxy import keys
from openai_proxy.auth import Caller
from openai_proxy.config import Auth
from openai_proxy.keys import KeyProblem, Keys
from openai_proxy.rewriting import exposed

SECRET = "sk-this-is-a-secret-of-ours"


def read(path: Path) -> Keys:
    return Keys.read(Auth(key_file=str(path)), {})


def test_a_new_key_is_found_and_kept_as_a_digest_only(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "keys"
    token, line = keys.new("laptop")
    assert token.startswith("sk-")
    assert len(token) == 46
    assert token not in line
    keys.add(path, line)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not exposed(path)
    assert token not in path.read_text()
    caller = read(path).find(token)
    assert caller is not None
    assert caller == Caller("laptop", frozenset({"user"}), token[-4:])
    assert read(path).find(token[:-1]) is None


def test_keys_are_listed_and_revoked_and_comments_stay(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# ours\n\n")
    kept, line = keys.new("kept", "user,admin")
    keys.add(path, line)
    gone = [keys.new("gone") for _ in range(2)]
    for _, line in gone:
        keys.add(path, line)
    assert [key.name for key in keys.listed(path)] == ["kept", "gone", "gone"]
    assert all(read(path).find(token) for token, _ in gone)
    assert keys.revoke(path, "gone") == 2
    assert keys.revoke(path, "gone") == 0
    assert path.read_text().startswith("# ours\n")
    caller = read(path).find(kept)
    assert caller is not None
    assert caller.scopes == {"user", "admin"}
    assert not any(read(path).find(token) for token, _ in gone)
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_others_can_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("")
    path.chmod(0o640)
    assert exposed(path)


DIGEST = hashlib.sha256(SECRET.encode()).hexdigest()


@pytest.mark.parametrize(
    "line",
    [SECRET, f"name user {SECRET}", f"name user {DIGEST[:-1]}", f"na/me user {DIGEST}", f"name root {DIGEST}", "x"],
)
def test_a_bad_line_is_named_and_never_shown(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys"
    path.write_text(f"# one\n{line}\n")
    with pytest.raises(KeyProblem, match="line 2") as caught:
        read(path)
    assert SECRET not in str(caught.value)
    assert DIGEST not in str(caught.value)


def test_a_file_that_is_not_text_and_one_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "keys").write_bytes(b"\xff\xfe")
    with pytest.raises(KeyProblem, match="UTF-8"):
        read(tmp_path / "keys")
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "none")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_text("# ours\n")
    with pytest.raises(UnicodeEncodeError):
        keys.add(path, "\ud800")
    assert path.read_text() == "# ours\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("text", "name", "scopes"),
    [
        (SECRET, "env-1", {"user"}),
        (f"laptop={SECRET}", "laptop", {"user"}),
        (f" other-key-here , ops:admin={SECRET} ,", "ops", {"user", "admin"}),
    ],
)
def test_keys_of_the_environment(text: str, name: str, scopes: set[str]) -> None:
    found = Keys.read(Auth(), {"OPENAI_PROXY_KEYS": text})
    caller = found.find(SECRET)
    assert caller is not None
    assert caller.name == name
    assert caller.scopes == scopes
    assert found.find(SECRET) is caller
    assert SECRET not in repr(found) + repr(found._keys)


@pytest.mark.parametrize("text", ["short", f"a b={SECRET}", f"name:root={SECRET}", "kéy-with-an-accent", "name=short"])
def test_bad_keys_of_the_environment(text: str) -> None:
    with pytest.raises(KeyProblem, match="OPENAI_PROXY_KEYS, key 1") as caught:
        Keys.read(Auth(), {"OPENAI_PROXY_KEYS": text})
    assert SECRET not in str(caught.value)


def test_no_keys_are_false_and_equal() -> None:
    assert not Keys.read(Auth(), {})
    assert Keys() == Keys()
    assert hash(Keys()) == hash(Keys())
    assert Keys.read(Auth(), {"OPENAI_PROXY_KEYS": SECRET}) != Keys()


def test_a_short_key_shows_no_tail() -> None:
    caller = Keys.read(Auth(), {"OPENAI_PROXY_KEYS": "12345678"}).find("12345678")
    assert caller is not None
    assert caller.tail == ""


@pytest.mark.parametrize(
    ("name", "scope"), [("", "user"), ("a b", "user"), ("a" * 65, "user"), ("a", "root"), ("a", "")]
)
def test_names_and_scopes_of_new_keys(name: str, scope: str) -> None:
    with pytest.raises(KeyProblem):
        keys.new(name, scope)
