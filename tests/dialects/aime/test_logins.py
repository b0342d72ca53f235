"""Logins, keys, and who may use which endpoint."""

from __future__ import annotations

import time
import uuid
from pathlib import Path

import pytest
import requests

from openai_proxy import keys
from openai_proxy.config import Config
from openai_proxy.logins import Login, Logins
from openai_proxy.settings.protocols import Aime as Settings
from tests.conftest import Serve
from tests.dialects.aime.calling import VERSION, Aime, refusal
from tests.dialects.aime.conftest import ADMIN, ALICE, BOB, LOCKED, SETTINGS
from tests.running import Running

UNKNOWN = "Client session authentication key not registered in API Server"
ROOTS = ("/login", "/get_client_session_auth_key")
JS = {"content-type": "application/json; charset=UTF-8"}


@pytest.mark.parametrize("path", [*ROOTS, "/llama2_chat/login", "/llama2_chat/get_client_session_auth_key"])
def test_each_login_gives_a_fresh_key(server: Running, path: str) -> None:
    client = Aime(server, "llama2_chat")
    asked = {"version": VERSION, "user": "me", "key": "anything", "endpoint_name": "llama2_chat"}
    for answer in (client.get(path, **asked), client.post(path, asked), client.get(path)):
        assert answer.status_code == 200
        found = answer.json()
        assert found.keys() == {"success", "ep_version", "client_session_auth_key", "key"}
        assert found["success"] is True
        assert uuid.UUID(found["client_session_auth_key"]).version == 4
        client.session = client.session or found["client_session_auth_key"]
    assert client.session != found["client_session_auth_key"]
    assert client.get(path, **asked).json()["key"] == "anything"
    assert client.post(path, asked).json()["ep_version"] == 3
    assert found["key"] is None


def test_the_javascript_client_posts_a_query_and_no_body(server: Running, locked: Running) -> None:
    url = f"{server.url}/llama2_chat/login?user=null&key=null&version=JavaScript%200.8.5"
    found = requests.post(url, headers=JS, timeout=30).json()
    assert (found["success"], found["key"]) == (True, None)
    # Its way to validate a key sends `false` for a body.
    url = f"{locked.url}/api/validate_key?key={ALICE}&version=x"
    assert requests.post(url, b"false", headers=JS, timeout=30).json() == {"success": True, "error": None}


@pytest.mark.parametrize("path", ["/login", "/public", "/public/progress", "/api/endpoints", "/api/public"])
def test_a_wrong_key_in_the_head_is_told_as_any_other(locked: Running, path: str) -> None:
    answer = requests.get(locked.url + path, headers={"authorization": "Bearer wrong"}, timeout=30)
    assert refusal(answer) == (401, UNKNOWN)
    # Of what is no endpoint nothing is known to be AIME's.
    answer = requests.get(f"{locked.url}/nothing", headers={"authorization": "Bearer wrong"}, timeout=30)
    assert answer.json()["error"]["code"] == "invalid_api_key"


def test_where_there_are_keys_a_login_needs_one(locked: Running) -> None:
    for path in (*ROOTS, "/public/login", "/public/get_client_session_auth_key"):
        for key in (None, "sk-wrong-0123456789abcdef", ALICE.upper()):
            for answer in (Aime(locked, "").get(path, key=key), Aime(locked, "").post(path, {"key": key})):
                assert refusal(answer) == (401, "API key missing or not valid")
    assert refusal(Aime(locked, "").get("/nothing/login")) == (401, UNKNOWN)
    found = Aime(locked, "public", ALICE).login()
    assert (found["success"], found["key"]) == (True, None)


def test_a_login_opens_its_endpoint_without_the_key(locked: Running) -> None:
    client = Aime(locked, "public", BOB)
    client.login()
    client.key = None
    assert client.ask(prompt="hello")["text"] == "hello"
    found = client.get("/public", client_session_auth_key=client.session, prompt="again").json()
    assert found["text"] == "again"
    client.endpoint = "gone"
    assert refusal(client.send(True, prompt="hello")) == (402, "Client not authorized for endpoint gone!")


def test_a_login_at_the_root_opens_all_endpoints(locked: Running) -> None:
    client = Aime(locked, "public")
    client.session = client.get("/login", key=ALICE).json()["client_session_auth_key"]
    for client.endpoint in ("public", "private", "gone"):
        assert client.ask(prompt="hello")["text"] == "hello"
    client.session = client.get("/login", key=ALICE, endpoint_name="public").json()["client_session_auth_key"]
    assert refusal(client.send(True, prompt="hello"))[0] == 402


def test_a_key_opens_without_a_login_wherever_it_is_sent(locked: Running) -> None:
    client = Aime(locked, "public", ALICE)
    assert client.ask(prompt="hello")["text"] == "hello"
    assert client.get("/public", key=ALICE, prompt="hello").json()["text"] == "hello"
    body, headers = {"prompt": "hello"}, {"authorization": f"Bearer {ALICE}"}
    assert requests.post(f"{locked.url}/public", json=body, headers=headers, timeout=30).json()["text"] == "hello"
    client.session = "an old one"
    assert client.ask(prompt="hello")["text"] == "hello"


@pytest.mark.parametrize(
    "credentials",
    [{}, {"key": "sk-wrong-0123456789abcdef"}, {"client_session_auth_key": str(uuid.uuid4())}, {"key": "null"}],
)
def test_who_is_not_known_has_to_log_in(locked: Running, credentials: dict[str, str]) -> None:
    client = Aime(locked, "public")
    assert refusal(client.post("/public", {"prompt": "hello", **credentials})) == (401, UNKNOWN)
    assert refusal(client.get("/public", prompt="hello", **credentials)) == (401, UNKNOWN)
    assert client.post("/nothing", {"prompt": "hello", **credentials}).status_code == 401
    assert refusal(client.get("/api/endpoints", **credentials)) == (401, UNKNOWN)
    assert refusal(client.get("/api/endpoints/public", **credentials)) == (401, UNKNOWN)
    assert refusal(client.get("/api/public", **credentials)) == (401, UNKNOWN)


def test_an_endpoint_may_be_for_some_keys_only(locked: Running) -> None:
    refused = (402, "Client not authorized for endpoint private!")
    client = Aime(locked, "private", BOB)
    assert refusal(client.get("/private/login", key=BOB)) == refused
    assert refusal(client.send(True, prompt="hello")) == refused
    assert refusal(client.get("/api/endpoints/private", key=BOB)) == refused
    client.session = client.get("/login", key=BOB).json()["client_session_auth_key"]
    client.key = None
    assert refusal(client.send(True, prompt="hello")) == refused
    names = [client.get("/api/endpoints", key=key).json()["endpoints"] for key in (ALICE, BOB)]
    assert names == [["private", "public", "gone"], ["public", "gone"]]


def test_keys_are_validated(locked: Running, server: Running) -> None:
    client = Aime(locked, "public")
    assert client.get("/api/validate_key", key=ALICE, version=VERSION).json() == {"success": True, "error": None}
    assert client.post("/api/validate_key", {"key": BOB}).json() == {"success": True, "error": None}
    wrong = client.get("/api/validate_key", key="sk-wrong-0123456789abcdef")
    assert (wrong.status_code, wrong.json()) == (200, {"success": False, "error": "API key not valid"})
    assert refusal(client.get("/api/validate_key")) == (401, UNKNOWN)
    assert Aime(server, "").get("/api/validate_key", key="any").json()["success"] is True


def test_an_endpoint_whose_model_is_unloaded_is_disabled(locked: Running) -> None:
    admin = {"authorization": f"Bearer {ADMIN}"}
    requests.post(f"{locked.url}/admin/models/gone/unload", headers=admin, timeout=30)
    client = Aime(locked, "gone", ALICE)
    assert refusal(client.send(True, prompt="hello")) == (400, "Endpoint disabled!")
    found = client.get("/api/endpoints/gone", key=ALICE).json()
    assert (found["num_active_workers"], found["workers"][0]["state"]) == (0, "disabled")
    requests.post(f"{locked.url}/admin/models/gone/load", headers=admin, timeout=30)
    assert client.ask(prompt="hello")["text"] == "hello"


def test_no_key_or_login_is_in_the_log(locked: Running) -> None:
    client = Aime(locked, "public", ALICE)
    session = client.login()["client_session_auth_key"]
    client.get("/public", key=ALICE, client_session_auth_key=session, prompt="hello")
    log = locked.log.read_text()
    assert ALICE not in log
    assert session not in log
    assert '"caller":"alice"' in log


def test_logins_end_and_are_bounded() -> None:
    now = 0.0
    config = Config(aime=Settings(logins=2, login_idle=10.0))
    logins = Logins(lambda: config, lambda: now)
    first, second = (logins.new(Login(b"key", name)) for name in ("a", "b"))
    now = 9.0
    assert logins.find(first) == Login(b"key", "a")
    now = 18.0
    assert logins.find(first) is not None  # it was used since
    assert logins.find(second) is None
    assert len(logins) == 1
    second, third = (logins.new(Login(b"key", name)) for name in ("b", "c"))
    assert [each is not None for each in map(logins.find, (first, second, third))] == [False, True, True]
    assert logins.find("another") is None


def test_a_login_is_known_to_all_workers_and_ends_with_its_key(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    key, line = keys.new("alice")
    keys.add(file, line)
    text = f'{SETTINGS}{LOCKED}\n[auth]\nkey_file = "{file}"\n'.replace('database = "memory"', "")
    server = serve(text, "--workers", "2", path="/livez", OPENAI_PROXY_KEYS=f"ops:admin={ADMIN}")
    client = Aime(server, "public", key)
    client.login()
    body = {"prompt": "hello", "client_session_auth_key": client.session}
    # Each connection goes to whichever worker takes it.
    assert {client.post("/public", body).status_code for _ in range(12)} == {200}
    keys.revoke(file, "alice")
    headers = {"authorization": f"Bearer {ADMIN}"}
    assert requests.post(f"{server.url}/admin/reload", headers=headers, timeout=30).status_code == 200
    # Each worker reads the keys for itself.
    end = time.monotonic() + 10
    while {client.post("/public", body).status_code for _ in range(6)} != {401}:
        assert time.monotonic() < end
