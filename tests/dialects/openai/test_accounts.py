"""Accounts, and keys in every place that h2oGPT's clients have for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from openai_proxy.accounts.tries import OF_PEER
from openai_proxy.auth import NOBODY, Caller
from openai_proxy.config import AccountSettings
from openai_proxy.dialects.openai.signed import UNKNOWN_BODY, Signed
from openai_proxy.keys import Key, Keys, digest_of
from openai_proxy.wire import Incoming, Reply
from tests.accounts.people import ALICE, BOB, basic, book
from tests.dialects.openai.forms import BOUNDARY, TRANSCRIPTIONS, TRANSLATIONS, form, part
from tests.dialects.openai.local import CHAT, COMPLETIONS, EMBEDDINGS, Answer, Local, chat, completion, embedding
from tests.dialects.openai.speaking import SPEECH, speech
from tests.pictures import picture
from tests.sounds import tone

KEY, ADMIN = "sk-a-key-of-ours", "sk-a-key-of-operators"
KEYS = Keys(
    (
        Key("laptop", frozenset({"user"}), digest_of(KEY)),
        Key("ops", frozenset({"user", "admin"}), digest_of(ADMIN)),
    )
)
BODIES: dict[str, dict[str, Any]] = {
    CHAT: chat(),
    COMPLETIONS: completion(),
    EMBEDDINGS: embedding(),
    SPEECH: speech(response_format="pcm"),
    "/v1/images/generations": {"prompt": "a house", "size": "64x64"},
    "/v1/rerank": {"query": "a", "documents": ["b"]},
    "/score": {"text_1": "a", "text_2": "b"},
    "/tokenize": {"model": "echo", "prompt": "a"},
    "/detokenize": {"model": "echo", "tokens": [97]},
}
FORMS = {
    TRANSCRIPTIONS: part("file", tone(0.2), "a.wav"),
    TRANSLATIONS: part("file", tone(0.2), "a.wav"),
    "/v1/images/edits": part("image", picture(size=(64, 64), mode="RGBA"), "a.png") + part("prompt", "a house"),
    "/v1/images/variations": part("image", picture(size=(64, 64), mode="RGBA"), "a.png"),
}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(book(tmp_path_factory.mktemp("accounts") / "accounts"))


def test_who_logs_in_without_a_key_is_told_where_to_send_it(file: str) -> None:
    with Local(accounts=AccountSettings(file=file), keys=KEYS) as local:
        answer = get(local, authorization=basic(ALICE))
        answer.refusal(401, "missing_api_key", None)
        assert "X-API-KEY" in answer.error["message"]
        assert get(local, authorization=basic(ALICE), x_api_key=KEY).status == 200


@pytest.fixture
def closed(file: str) -> Iterator[Local]:
    with Local(accounts=AccountSettings(file=file)) as application:
        yield application


@pytest.fixture
def open_to_all(file: str) -> Iterator[Local]:
    with Local(accounts=AccountSettings(file=file, access="open")) as application:
        yield application


@pytest.fixture
def keyed(file: str) -> Iterator[Local]:
    with Local(accounts=AccountSettings(file=file), keys=KEYS) as application:
        yield application


@pytest.fixture
def only_keyed() -> Iterator[Local]:
    with Local(keys=KEYS) as application:
        yield application


def get(local: Local, path: str = "/v1/models", **headers: str) -> Answer:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return local.send("GET", path, b"", named)


def posted(local: Local, path: str, user: str | None = None, **headers: str) -> Answer:
    """A right request for that path, of that user."""
    if path in BODIES:
        return local.post(path, BODIES[path] | ({} if user is None else {"user": user}), **headers)
    body = form(FORMS[path], *([] if user is None else [part("user", user)]))
    kind = f"multipart/form-data; boundary={BOUNDARY}"
    named = [(name.encode(), value.encode()) for name, value in {"content-type": kind, **headers}.items()]
    return local.send("POST", path, body, named)


@pytest.mark.parametrize("path", [*BODIES, *FORMS])
def test_every_route_asks_for_an_account(closed: Local, path: str) -> None:
    posted(closed, path).refusal(401, "missing_user", "user")
    posted(closed, path, "alice:wrong").refusal(401, "invalid_user", "user")
    answer = posted(closed, path, "nobody:wonder:land")
    answer.refusal(401, "invalid_user", "user")
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert "nobody" not in answer.error["message"]
    for user in (ALICE, BOB):
        answer = posted(closed, path, user)
        assert answer.status == 200, answer.body


def test_where_access_is_open_only_who_sends_a_password_is_checked(open_to_all: Local) -> None:
    for user in (None, "", "somebody", ALICE):
        assert posted(open_to_all, CHAT, user).status == 200
    posted(open_to_all, CHAT, "alice:wrong").refusal(401, "invalid_user", "user")
    assert get(open_to_all).status == get(open_to_all, authorization=basic(ALICE)).status == 200
    get(open_to_all, authorization=basic("alice:wrong")).refusal(401, "invalid_user", "user")


@pytest.mark.parametrize("path", [*BODIES, *FORMS])
def test_without_accounts_a_user_is_ignored(local: Local, path: str) -> None:
    assert posted(local, path, "alice:wrong").status == 200
    if path == CHAT:
        assert posted(local, CHAT, "alice").status == posted(local, CHAT, "").status == 200


@pytest.mark.parametrize(
    ("body", "left"),
    [
        (b'{"user": "alice:wrong", "model": "echo"}', b'{"model":"echo"}'),
        (b'{"model": "echo", "us\\u0065r":"alice\\u003awrong"}', b'{"model":"echo"}'),
        (b'{"user" : "a\\"b:c"}', b"{}"),
        (b'{"h2ogpt_key": "sk-1", "user": "alice"}', b'{"user":"alice"}'),
        (b'{"user": "alice", "n": 1}', b'{"user": "alice", "n": 1}'),
        (b'{"messages": [{"role":"user","content":"a:b"}]}', b'{"messages": [{"role":"user","content":"a:b"}]}'),
        (form(part("user", "alice:wrong"), part("model", "echo")), form(part("model", "echo"))),
        (form(part("user", "alice"), part("model", "echo")), form(part("user", "alice"), part("model", "echo"))),
    ],
)
def test_without_accounts_a_password_goes_nowhere(local: Local, body: bytes, left: bytes) -> None:
    seen: list[bytes] = []

    async def handle(incoming: Incoming) -> Reply:
        seen.append(incoming.body)
        return Reply(b"")

    kind = b"application/json" if body.startswith(b"{") else f"multipart/form-data; boundary={BOUNDARY}".encode()
    scope = {"state": {"head": {b"content-type": kind}}}
    signed = Signed(local.app.edge, handle)
    local.runner.run(signed(Incoming(body, NOBODY, "", scope)))
    assert seen == [left]


@pytest.mark.parametrize(
    "path", ["/v1/models", "/v1/models/echo", "/v1/audio/voices", "/openapi.json", "/events", "/nothing"]
)
def test_where_there_is_no_body_the_account_is_that_of_http_basic(closed: Local, path: str) -> None:
    answer = get(closed, path)
    answer.refusal(401, "missing_user", None)
    assert answer.headers["www-authenticate"].startswith("Basic ")
    get(closed, path, authorization=basic("alice:wrong")).refusal(401, "invalid_user", "user")
    get(closed, path, authorization=f"Bearer {KEY}").refusal(401, "missing_user", None)
    if path != "/events":  # which never ends
        assert get(closed, path, authorization=basic(ALICE)).status == (404 if path == "/nothing" else 200)


@pytest.mark.parametrize("value", ["Basic", "Basic !!!", "Basic YWxpY2U=", "Basic /w=="])
def test_basic_that_is_none(closed: Local, value: str) -> None:
    get(closed, authorization=value).refusal(400, "bad_request", None)


def test_what_is_open_stays_so_and_what_is_an_operators_too(closed: Local) -> None:
    assert get(closed, "/health", authorization="Basic !!!").status == 200
    assert get(closed, "/health").status == get(closed, "/livez").status == 200
    get(closed, "/metrics").refusal(403, "insufficient_scope", None)
    get(closed, "/metrics", authorization=basic(ALICE)).refusal(403, "insufficient_scope", None)


def test_a_user_beside_basic_is_checked_too(closed: Local) -> None:
    assert posted(closed, CHAT, authorization=basic(ALICE)).status == 200
    assert posted(closed, CHAT, "somebody", authorization=basic(ALICE)).status == 200
    posted(closed, CHAT, "bob@example.org:wrong", authorization=basic(ALICE)).refusal(401, "invalid_user", "user")


def test_a_key_is_needed_beside_an_account(keyed: Local) -> None:
    bearer = f"Bearer {KEY}"
    assert posted(keyed, CHAT, ALICE, authorization=bearer).status == 200
    posted(keyed, CHAT, authorization=bearer).refusal(401, "missing_user", "user")
    posted(keyed, CHAT, ALICE, authorization="Bearer wrong").refusal(401, "invalid_api_key", None)
    posted(keyed, CHAT, ALICE).refusal(401, "missing_api_key", None)
    get(keyed, authorization=bearer).refusal(401, "missing_user", None)
    get(keyed, authorization=basic(ALICE)).refusal(401, "missing_api_key", None)
    get(keyed, authorization=basic(ALICE), x_api_key="wrong-key").refusal(401, "invalid_api_key", None)
    assert get(keyed, authorization=basic(ALICE), x_api_key=KEY).status == 200


def test_a_key_of_operators_needs_no_account(keyed: Local) -> None:
    bearer = f"Bearer {ADMIN}"
    assert get(keyed, "/metrics", authorization=bearer).status == 200
    assert posted(keyed, CHAT, authorization=bearer).status == 200
    posted(keyed, CHAT, "alice:wrong", authorization=bearer).refusal(401, "invalid_user", "user")


def test_a_key_in_the_body_is_one_more_place(only_keyed: Local) -> None:
    def asked(key: object, **headers: str) -> Answer:
        return only_keyed.post(CHAT, chat(h2ogpt_key=key), **headers)

    assert asked(KEY).status == 200
    assert asked(KEY, authorization="Bearer EMPTY").status == 200
    # A shell that does not replace a variable sends its name.
    assert asked("$OPENAI_API_KEY", authorization=f"Bearer {KEY}").status == 200
    assert asked(None, x_api_key=KEY).status == 200
    asked("$OPENAI_API_KEY").refusal(401, "invalid_api_key", None)
    asked(KEY, authorization="Bearer another-one").refusal(401, "invalid_api_key", None)
    for key in (None, "", 5, [KEY]):
        asked(key).refusal(401, "missing_api_key", None)
    only_keyed.post(CHAT, b'{"h2ogpt_key": ').refusal(401, "missing_api_key", None)
    only_keyed.post(CHAT, chat(h2ogpt_key=KEY, nonsense=1)).refusal(400, "unknown_parameter", "nonsense")
    assert only_keyed.post(EMBEDDINGS, embedding(h2ogpt_key=KEY)).status == 200
    assert only_keyed.post(SPEECH, speech(h2ogpt_key=KEY, response_format="pcm")).status == 200


def test_an_account_may_be_in_the_head_and_the_key_in_the_body(keyed: Local) -> None:
    """A key in the body is one more place, and no more than that: beside one in the head it is not looked at."""
    body, wrong = chat(h2ogpt_key=KEY), chat(h2ogpt_key="wrong")
    assert keyed.post(CHAT, body, authorization=basic(ALICE)).status == 200
    keyed.post(CHAT, body, authorization=basic("alice:wrong")).refusal(401, "invalid_user", "user")
    keyed.post(CHAT, body).refusal(401, "missing_user", "user")
    keyed.post(CHAT, wrong, authorization=basic(ALICE)).refusal(401, "invalid_api_key", None)
    assert keyed.post(CHAT, wrong, authorization=basic(ALICE), x_api_key=KEY).status == 200


def test_a_key_beside_an_account_is_not_looked_at_where_none_is_needed(closed: Local) -> None:
    assert closed.post(CHAT, chat(h2ogpt_key="wrong"), authorization=basic(ALICE)).status == 200
    assert closed.post(CHAT, chat(h2ogpt_key="wrong", user=ALICE)).status == 200


def test_little_is_read_of_whom_nobody_knows(only_keyed: Local) -> None:
    body = json.dumps(chat(h2ogpt_key=KEY)).encode()
    assert only_keyed.post(CHAT, body.ljust(UNKNOWN_BODY)).status == 200
    only_keyed.post(CHAT, body.ljust(UNKNOWN_BODY + 1)).refusal(401, "missing_api_key", None)
    json_kind = (b"content-type", b"application/json")
    chunked = [json_kind, (b"transfer-encoding", b"chunked"), (b"content-length", b"")]
    only_keyed.send("POST", CHAT, body, [*chunked]).refusal(401, "missing_api_key", None)
    only_keyed.send("POST", CHAT, body, [(b"content-type", b"text/plain")]).refusal(401, "missing_api_key", None)


def test_what_needs_no_key_takes_any(only_keyed: Local) -> None:
    for value in ("Basic !!!", "Bearer", "Bearer wrong", "Bearer EMPTY", "Negotiate x"):
        assert get(only_keyed, "/health", authorization=value).status == 200
    get(only_keyed, authorization="Bearer EMPTY").refusal(401, "invalid_api_key", None)


def test_the_streaming_client_has_its_key_in_a_header_of_its_own(only_keyed: Local) -> None:
    assert posted(only_keyed, TRANSCRIPTIONS, **{"x-api-key": KEY}).status == 200
    posted(only_keyed, TRANSCRIPTIONS).refusal(401, "missing_api_key", None)


@pytest.mark.parametrize("path", ["/v1/models", "/v1/images", "/v1/jobs", "/nothing"])
def test_a_key_in_a_body_opens_no_other_route(only_keyed: Local, path: str) -> None:
    only_keyed.post(path, chat(h2ogpt_key=KEY)).refusal(401, "missing_api_key", None)


def test_bodies_without_keys_are_as_before(local: Local) -> None:
    assert local.post(CHAT, chat(h2ogpt_key="anything")).status == 200
    local.post(CHAT, b'{"h2ogpt_key": 1').refusal(400, "invalid_json", None)
    twice = json.dumps(chat(h2ogpt_key="a"))[:-1] + ', "model": "other"}'
    local.post(CHAT, twice.encode()).refusal(400, "invalid_json", "model")


def test_a_flood_of_wrong_passwords_ends(closed: Local) -> None:
    assert posted(closed, CHAT, ALICE).status == 200
    for number in range(OF_PEER):
        assert posted(closed, CHAT, f"alice:wrong{number}").status == 401
    for answer in (posted(closed, CHAT, "alice:wrong"), get(closed, authorization=basic(BOB))):
        answer.refusal(429, "rate_limit_exceeded", None)
        assert 0 < int(answer.headers["retry-after"]) <= 60
    assert posted(closed, CHAT, ALICE).status == 200


def test_a_flood_by_way_of_several_processes_is_one(closed: Local, file: str) -> None:
    class Fleet:
        """The others, as a fleet asks them."""

        def __init__(self, *others: Local) -> None:
            self.edges = [each.app.edge for each in others]

        async def ask(self, what: str, content: object) -> list[Any]:
            return [None, *(edge.answering[what](content) for edge in self.edges)]

    with Local(accounts=AccountSettings(file=file)) as other:
        one, two = closed.app.edge, other.app.edge
        one.fleet, two.fleet = cast(Any, Fleet(other)), cast(Any, Fleet(closed))
        for number in range(OF_PEER):
            posted((closed, other)[number % 2], CHAT, f"alice:wrong{number}").refusal(401, "invalid_user", "user")
        for local in (closed, other):
            posted(local, CHAT, ALICE).refusal(429, "rate_limit_exceeded", None)
        assert one.accounts.tried(("127.0.0.1", "alice")) == (OF_PEER // 2, OF_PEER // 2)


def test_who_it_is_owns_what_it_makes(keyed: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    """What other protocols and documents go by."""
    found: list[Caller] = []
    real = keyed.app.edge.accounts.of_user

    async def of_user(user: object, peer: str, caller: Caller) -> Caller:
        found.append(await real(user, peer, caller))
        return found[-1]

    monkeypatch.setattr(keyed.app.edge.accounts, "of_user", of_user)
    for user in (ALICE, BOB):
        assert posted(keyed, CHAT, user, authorization=f"Bearer {KEY}").status == 200
    assert [caller.name for caller in found] == ["user:alice", "user:bob@example.org"]
    assert found[0].scopes == {"user"}


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    path = book(tmp_path / "accounts")
    with Local(accounts=AccountSettings(file=str(path))) as application:
        assert posted(application, CHAT, ALICE).status == 200
        book(path, BOB)
        posted(application, CHAT, ALICE).refusal(401, "invalid_user", "user")
        assert posted(application, CHAT, BOB).status == 200
        path.write_text("nonsense\n")
        assert posted(application, CHAT, BOB).status == 200
