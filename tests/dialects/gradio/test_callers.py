"""Who may call: keys in every place, logins and their cookies, accounts."""

from __future__ import annotations

import http.client
import http.cookies
import json
import time
from functools import partial
from pathlib import Path

import pytest

from tests.accounts.people import ALICE, BOB, book
from tests.conftest import Serve
from tests.dialects.gradio.calling import CHAT, Caller, Keyed, said, session
from tests.dialects.gradio.conftest import LOCKED, run_script
from tests.dialects.gradio.test_queue import kinds, until

HELLO = "{'instruction': 'hello'}"
NAME, _, PASSWORD = ALICE.partition(":")
OTHER, _, OTHERS = BOB.partition(":")


def test_a_key_counts_wherever_it_is(keyed: Keyed) -> None:
    assert keyed.api(CHAT, HELLO).status == 401
    assert keyed.api("model_names").status == 401
    for headers in ({"authorization": f"Bearer {keyed.alice}"}, {"x-api-key": keyed.alice}):
        assert keyed.by(**headers).api(CHAT, HELLO).status == 200
        assert keyed.by(**headers).api("model_names").status == 200
    assert keyed.api(CHAT, str({"instruction": "hello", "h2ogpt_key": keyed.alice})).status == 200
    assert keyed.api("embed_api", "hello", keyed.bob, "False").status == 200
    wrong = keyed.api(CHAT, str({"instruction": "hello", "h2ogpt_key": "sk-wrong"}))
    assert wrong.status == 401
    assert wrong.json["detail"]
    assert b"sk-" not in wrong.body
    assert keyed.by(authorization="Bearer wrong").api(CHAT, HELLO).status == 401


def test_what_strangers_may_see_and_send(keyed: Keyed) -> None:
    assert keyed.get("/config").status == keyed.get("/info?serialize=False").status == 200
    assert keyed.api("system_hash").status == keyed.api("num_model_lock").status == 200
    assert keyed.join(session(), HELLO).status == 401
    assert keyed.api(CHAT, str({"iinput": "a" * 262_144, "h2ogpt_key": keyed.alice})).status == 401
    large = str({"instruction": "hello", "client_metadata": "a" * 262_144})
    assert keyed.by(authorization=f"Bearer {keyed.alice}").api(CHAT, large).status == 200


def test_a_key_in_the_dict_and_the_queue(keyed: Keyed) -> None:
    name = session()
    keyed.event(name, instruction="hello", h2ogpt_key=keyed.alice)
    assert said(keyed.told(name)[-2])["response"] == "hello"
    assert keyed.alice not in keyed.server.output()


def test_a_key_in_the_dict_is_seen_before_what_else_is_wrong(crowded: Keyed) -> None:
    right, wrong = ({"instruction": "hello", "h2ogpt_key": key} for key in (crowded.alice, "sk-wrong"))
    for path in ("/queue/join", "/api/predict/", "/gradio_api/call/predict"):
        for given, status in ((right, 404), (wrong, 401), ({}, 401)):
            body = {"data": [str(given)], "fn_index": 99, "session_hash": session()}
            assert crowded.post(path, body).status == status, (path, given)
    for given, status in ((right, 400), (wrong, 401)):
        assert crowded.join("", str(given)).status == status
    name = session()
    for _ in range(2):
        crowded.event(name, **right, visible_models="stalled")
    assert crowded.join(name, str(right)).status == 503
    assert crowded.join(name, str(wrong)).status == 401
    assert crowded.join(session(), str(right)).status == 503  # no other session of those without a key in the head
    assert crowded.by(authorization=f"Bearer {crowded.bob}").join(session(), str(right)).status == 200
    assert crowded.post("/cancel", {"session_hash": name}).status == 200


def test_sessions_of_a_key_are_others_not(crowded: Keyed) -> None:
    alice, bob = crowded.by(authorization=f"Bearer {crowded.alice}"), crowded.by(authorization=f"Bearer {crowded.bob}")
    names = [session() for _ in range(4)]
    for name in names[:3]:
        alice.event(name, instruction="hello", visible_models="stalled")
    answer = alice.join(names[3], HELLO)
    assert (answer.status, "too many sessions" in answer.json["detail"]) == (503, True)
    assert bob.join(names[3], HELLO).status == 200
    for name in names[:3]:
        alice.post("/cancel", {"session_hash": name})
    until(lambda: alice.join(names[3], HELLO).status == 200)


def test_heartbeats_are_for_who_has_shown_a_key(keyed: Keyed, closed: Caller) -> None:
    beat = b'data: {"msg":"heartbeat"}\n\n'
    connection = keyed.connection()
    connection.request("GET", f"/heartbeat/{session()}")
    response = connection.getresponse()
    with pytest.raises(http.client.IncompleteRead) as cut:
        response.read()
    assert cut.value.partial == beat
    connection.close()
    connection.request("GET", f"/heartbeat/{session()}", headers={"authorization": f"Bearer {keyed.alice}"})
    assert connection.getresponse().read(len(beat)) == beat
    connection.close()
    assert closed.get(f"/heartbeat/{session()}").status == 401
    assert closed.get(f"/queue/data?session_hash={session()}").status == 404
    alice = closed.logged_in(NAME, PASSWORD)
    assert kinds(alice.told(session())) == ["close_stream"]
    connection = alice.connection()
    connection.request("GET", f"{alice.base}/heartbeat/{session()}", headers=alice.headers)
    assert connection.getresponse().read(len(beat)) == beat
    connection.close()


def test_an_account_in_the_dict_and_the_queue(closed: Caller) -> None:
    name = session()
    closed.event(name, instruction="hello", user=ALICE)
    assert said(closed.told(name)[-2])["response"] == "hello"


def test_a_key_instead_of_a_password(keyed: Keyed) -> None:
    assert keyed.login("anybody", "wrong").json == {"detail": "Incorrect credentials."}
    assert keyed.login("anybody", "wrong").status == 400
    alice, bob = keyed.logged_in("anybody", keyed.alice), keyed.logged_in("anybody", keyed.bob)
    assert alice.api("model_names").status == 200
    large = str({"instruction": "hello", "client_metadata": "a" * 262_144})
    assert alice.api(CHAT, large).status == 200
    name = session()
    alice.event(name, instruction="secret")
    assert kinds(bob.told(name)) == ["close_stream"]
    assert said(alice.told(name)[-2])["response"] == "secret"
    assert keyed.by(cookie="access-token=" + "a" * 32).api("model_names").status == 401


def test_documents_are_a_users_own(keyed: Keyed) -> None:
    text = "The lighthouse of Skerry was built in 1820."
    with keyed.server.client(api_key=keyed.alice) as client:
        client.vector_stores.files.upload_and_poll(vector_store_id="MyData", file=("note.txt", text.encode()))
    alice, bob = keyed.by(authorization=f"Bearer {keyed.alice}"), keyed.by(authorization=f"Bearer {keyed.bob}")
    for action in ("Query", "Summarize", "Extract"):
        given = {"instruction": "When was it built?", "langchain_mode": "MyData", "langchain_action": action}
        found = alice.chat(**given)
        assert [each["content"] for each in found["sources"]] == [text]
        assert found["sources"][0]["source"] == found["sources_str"] == "note.txt"
        if action == "Query":
            assert bob.chat(**given)["sources"] == []
        else:
            refused = bob.api("submit_nochat_api", str(given))
            assert (refused.status, refused.json["error"]) == (400, f"There is nothing in MyData to {action} yet.")
    assert bob.chat(**{**given, "langchain_mode": "LLM", "langchain_action": "Query"})["sources"] == []


def test_everybody_needs_an_account(closed: Caller) -> None:
    for path in ("/config", "/info?serialize=False", "/gradio_api/info?serialize=False"):
        assert closed.get(path).status == 401
        assert closed.get(path).json == {"detail": "Not authenticated"}
    assert closed.api(CHAT, HELLO).status == 401
    assert closed.api("system_hash").status == 401
    assert closed.join(session(), HELLO).status == 401
    assert closed.api(CHAT, str({"instruction": "hello", "user": ALICE})).status == 200
    assert closed.api(CHAT, str({"instruction": "hello", "user": f"{NAME}:wrong"})).status == 401
    alice = closed.logged_in(NAME, PASSWORD)
    assert alice.get("/config").status == alice.get("/gradio_api/info?serialize=False").status == 200
    assert alice.chat(instruction="hello")["response"] == "hello"


def test_what_a_model_is_asked(closed: Caller) -> None:
    """All that the dict says to it, and nothing of who calls."""
    given = {
        "instruction": "now",
        "chat_conversation": [("before", "then")],
        "system_prompt": "Be kind.",
        "temperature": 0.5,
        "stop": ("end",),
        "user": ALICE,
        "h2ogpt_key": "sk-of-somebody",
        "visible_models": "mirror",
    }
    asked = closed.chat(**given)["response"]
    request = json.loads(asked)
    said = [(each["role"], each["parts"][0]["text"]) for each in request["messages"]]
    assert said == [("system", "Be kind."), ("user", "before"), ("assistant", "then"), ("user", "now")]
    assert request["sampling"]["temperature"] == 0.5
    assert request["sampling"]["stop"] == ["end"]
    assert PASSWORD not in asked
    assert "sk-of-somebody" not in asked
    for wrong in ("1e999", "b'a'", "1" + "0" * 40):
        assert closed.api(CHAT, str({**given, "temperature": "HERE"}).replace("'HERE'", wrong)).status == 400, wrong


def test_the_cookie_of_a_login(closed: Caller) -> None:
    answer = closed.login(NAME, PASSWORD)
    assert answer.json == {"success": True}
    [cookie] = http.cookies.SimpleCookie(answer.headers["set-cookie"]).values()
    assert len(cookie.value) >= 32
    assert (cookie["httponly"], cookie["samesite"], cookie["max-age"]) == (True, "Strict", "1")
    assert cookie["path"] == f"{closed.base}/"
    assert closed.login(NAME, "wrong").status == 400
    assert closed.login("nobody", PASSWORD).json == {"detail": "Incorrect credentials."}
    assert "set-cookie" not in closed.login(NAME, "wrong").headers
    assert closed.post("/login", {"username": NAME, "password": PASSWORD}).status == 200
    log = closed.server.log.read_text()
    assert PASSWORD not in log
    assert cookie.value not in log


def logged(caller: Caller, line: str) -> bool:
    return line in caller.server.log.read_text()


def test_an_account_in_the_dict_counts_before_a_login(closed: Caller) -> None:
    alice = closed.logged_in(NAME, PASSWORD)
    for given, name in (({}, NAME), ({"user": BOB}, OTHER), ({"user": "just a name"}, NAME)):
        id = session()
        closed.by(**alice.headers, **{"x-request-id": id}).chat(instruction="hello", **given)
        until(partial(logged, closed, f'"request_id":"{id}","caller":"user:{name}"'))
    assert alice.api(CHAT, str({"instruction": "hello", "user": f"{NAME}:wrong"})).status == 401


def test_an_accounts_login_is_no_key(serve: Serve, tmp_path: Path) -> None:
    accounts = f'[accounts]\nfile = "{book(tmp_path / "accounts", ALICE, BOB)}"\n'
    caller = Keyed(serve(LOCKED + accounts, path="/livez", OPENAI_PROXY_KEYS=f"anna={Keyed.alice}"))
    assert caller.get("/config").status == 401
    alice = caller.logged_in(NAME, PASSWORD)
    assert alice.get("/config").status == 200
    assert alice.api(CHAT, HELLO).status == alice.join(session(), HELLO).status == 401
    assert alice.api("model_names").status == 401
    assert alice.api(CHAT, str({"instruction": "hello", "client_metadata": "a" * 262_144})).status == 401
    assert alice.api(CHAT, str({"instruction": "hello", "h2ogpt_key": caller.alice})).status == 200
    with_key = caller.by(**alice.headers, authorization=f"Bearer {caller.alice}")
    assert with_key.api(CHAT, HELLO).status == with_key.api("model_names").status == 200
    name = session()
    with_key.event(name, instruction="hello")
    assert said(with_key.told(name)[-2])["response"] == "hello"
    key = caller.logged_in("anybody", caller.alice)
    assert key.get("/config").status == key.api(CHAT, HELLO).status == 401
    assert key.api(CHAT, str({"instruction": "hello", "user": ALICE})).status == 200
    assert key.api(CHAT, str({"instruction": "hello", "user": f"{NAME}:wrong"})).status == 401


def test_two_users_do_not_see_each_others_events(closed: Caller) -> None:
    alice, bob = closed.logged_in(NAME, PASSWORD), closed.logged_in(OTHER, OTHERS)
    name = session()
    id = alice.event(name, instruction="secret")
    assert kinds(bob.told(name)) == ["close_stream"]
    assert bob.post("/cancel", {"session_hash": name, "event_id": id}).json == {"success": False}
    assert closed.get(f"/queue/data?session_hash={name}").status == 404
    assert said(alice.told(name)[-2])["response"] == "secret"


def test_a_cookie_ends(closed: Caller) -> None:
    alice = closed.logged_in(NAME, PASSWORD)
    assert alice.get("/config").status == 200
    time.sleep(1.3)
    assert alice.get("/config").status == 401
    assert alice.api(CHAT, HELLO).status == 401
    with alice.socket() as socket:
        assert socket.recv(timeout=5)


def test_a_cookie_ends_with_its_account_and_with_another_password(serve: Serve, tmp_path: Path) -> None:
    file = book(tmp_path / "accounts", ALICE, BOB)
    caller = Caller(serve(f'{LOCKED}[accounts]\nfile = "{file}"\n', path="/livez"))
    alice, bob = caller.logged_in(NAME, PASSWORD), caller.logged_in(OTHER, OTHERS)
    assert alice.get("/config").status == bob.get("/config").status == 200
    book(file, f"{NAME}:another one")
    assert alice.get("/config").status == bob.get("/config").status == 401
    assert alice.api(CHAT, HELLO).status == 401
    assert caller.logged_in(NAME, "another one").get("/config").status == 200


def test_the_login_of_gradios_own_client(closed: Caller) -> None:
    told = run_script("2.7.2", "login", closed, NAME, PASSWORD)
    assert told["right"] == "hello"
    assert "Could not login" in told["wrong"]
    assert "credentials were not provided" in told["none"]


def begun(caller: Caller, **headers: str) -> int:
    """The status of a request that has sent nothing but its head."""
    connection = caller.connection()
    connection.putrequest("POST", "/gradio_api/queue/join")
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


def test_two_workers_know_each_others_logins_and_events(serve: Serve) -> None:
    config = LOCKED.replace('[jobs]\ndatabase = "memory"\n', "").replace("[server]\n", "[server]\nworkers = 2\n")
    caller = Keyed(serve(config, path="/livez", OPENAI_PROXY_KEYS=f"alice={Keyed.alice}"))
    alice = caller.logged_in("alice", Keyed.alice)
    large, length = str({"instruction": "hello", "client_metadata": "a" * 262_144}), {"content-length": "15000000"}
    cookie = alice.headers["cookie"]
    for _ in range(3):
        assert alice.api(CHAT, large).status == 200
        for wrong in ("access-token=x", f"{cookie}a", f"{cookie[:-1]}", cookie.replace("=", "=a")):
            assert begun(caller, cookie=wrong, **length) == 401, wrong
        name = session()
        id = alice.event(name, instruction="hello", stream_output=True)
        messages = alice.told(name)
        assert kinds(messages)[-2:] == ["process_completed", "close_stream"]
        assert {message["event_id"] for message in messages[:-1]} == {id}
        assert said(messages[-2])["response"] == "hello"
    calls = f"/gradio_api/call/{CHAT}"
    id = alice.post(calls, {"data": [HELLO]}).json["event_id"]
    assert b"event: complete" in alice.get(f"{calls}/{id}").body
