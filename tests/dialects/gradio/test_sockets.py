"""The WebSocket of gradio_client 0.6.1: who may open it, what is said on it, and how it ends."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from tests.accounts.people import ALICE
from tests.conftest import Serve
from tests.dialects.gradio.calling import Caller, Keyed, said, session
from tests.dialects.gradio.conftest import OPEN
from tests.dialects.gradio.test_queue import kinds, state, until

WORDS = "one two three four five six seven eight nine ten"
HANDSHAKE = (
    b"GET /queue/join HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\n%s\r\n"
)
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"


def hear(socket: ClientConnection) -> Any:
    return json.loads(socket.recv(timeout=10))


def begin(socket: ClientConnection, *arguments: str, index: int = 0) -> None:
    """Say what the client says until its event begins."""
    names = {"fn_index": index, "session_hash": session()}
    assert hear(socket) == {"msg": "send_hash"}
    socket.send(json.dumps(names))
    assert hear(socket)["msg"] == "estimation"
    assert hear(socket) == {"msg": "send_data"}
    socket.send(json.dumps({"data": arguments, **names}))


def last_words(socket: ClientConnection) -> None:
    """Hear until the other end closes it."""
    with contextlib.suppress(ConnectionClosed):
        while True:
            hear(socket)


def rest(socket: ClientConnection) -> list[dict[str, Any]]:
    return [json.loads(message) for message in socket]


def test_one_event_from_hash_to_end(opened: Caller) -> None:
    with opened.socket() as socket:
        begin(socket, str({"instruction": WORDS, "stream_output": True, "visible_models": "slow"}))
        messages = rest(socket)
    assert kinds(messages) == ["estimation", "process_starts", "process_generating", "process_completed"]
    texts = [said(message)["response"] for message in messages if "output" in message]
    assert len(set(texts)) > 4
    assert texts[-1] == texts[-2]
    assert socket.close_code == 1000


def test_failures_are_told(opened: Caller) -> None:
    with opened.socket() as socket:
        begin(socket, "{'a': __import__('os')}")
        assert rest(socket)[-1]["success"] is False
    with opened.socket() as socket:
        begin(socket, "{}", index=99)
        [message] = rest(socket)
    assert message == {
        "msg": "process_completed", "output": {"error": "There is no such API name."}, "success": False
    }  # fmt: skip


def test_a_client_that_leaves_stops_its_job(opened: Caller) -> None:
    with opened.socket() as socket:
        begin(socket, str({"instruction": WORDS, "stream_output": True, "visible_models": "stalled"}))
        while (message := hear(socket))["msg"] != "process_generating":
            pass
        id = message["event_id"]
        assert state(opened, id) == "running"
    until(lambda: state(opened, id) == "canceled", 2)


@pytest.mark.parametrize("said", [b"", b"nothing", b"[1]", b"\xff"])
def test_what_is_no_message_ends_it(opened: Caller, said: bytes) -> None:
    with opened.socket() as socket:
        assert hear(socket)["msg"] == "send_hash"
        socket.send(said)
        last_words(socket)
    assert socket.close_code == 1008


def test_messages_are_bounded(opened: Caller) -> None:
    for size, code in ((16_000_000, 1008), (16_000_001, 1009)):
        with opened.socket() as socket:
            assert hear(socket)["msg"] == "send_hash"
            head = b"\x82\xff" + size.to_bytes(8) + bytes(4)  # a frame that is masked with zeros
            socket.socket.sendall(head if code == 1009 else head + b"a" * size)
            last_words(socket)
        assert socket.close_code == code


def test_messages_of_strangers_are_short(keyed: Keyed, closed: Caller) -> None:
    """They are refused by the heads of frames, of parts of messages too."""
    name, _, password = ALICE.partition(":")
    known = [closed.logged_in(name, password), keyed.logged_in("anybody", keyed.alice)]
    strangers = [closed, keyed, keyed.by(cookie="access-token=x")]
    for caller in known + strangers:
        most = 16_000_000 if caller in known else 262_144
        for size, code in ((most, 1008), (most + 1, 1009)):
            with caller.socket() as socket:
                assert hear(socket)["msg"] == "send_hash"
                first, rest = b"a" * 1000, (size - 1000).to_bytes(8)
                socket.socket.sendall(b"\x02\xfe\x03\xe8" + bytes(4) + first + b"\x80\xff" + rest + bytes(4))
                if code == 1008:
                    socket.socket.sendall(b"a" * (size - 1000))
                last_words(socket)
            assert socket.close_code == code


def test_pages_of_other_origins_may_not_open_one(opened: Caller) -> None:
    for headers, status in (({"origin": "https://evil.example"}, 403), ({"host": "evil.example"}, 421)):
        connection = opened.connection()
        connection.putrequest("GET", "/queue/join", skip_host="host" in headers)
        words = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13", **headers}
        for name, value in {**words, "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ=="}.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        assert response.status == status
        assert json.loads(response.read())["detail"]
        connection.close()
    until(lambda: opened.server.log.read_text().count('"path":"/queue/join","status":421') > 0)
    assert "handshake" not in opened.server.log.read_text()


def test_who_has_no_key_gets_no_event(keyed: Keyed) -> None:
    given = {"instruction": "hello"}
    with keyed.socket() as socket:
        begin(socket, str(given))
        [message] = rest(socket)
        assert "No API key was given" in message["output"]["error"]
    with keyed.socket() as socket:
        begin(socket, str({**given, "h2ogpt_key": keyed.alice}))
        assert said(rest(socket)[-1])["response"] == "hello"
    large = str({**given, "client_metadata": "a" * 262_144, "h2ogpt_key": keyed.alice})
    with keyed.socket() as socket:
        begin(socket, large)
        last_words(socket)
        assert socket.close_code == 1009
    with keyed.socket(authorization=f"Bearer {keyed.alice}") as socket:
        begin(socket, large)
        assert said(rest(socket)[-1])["response"] == "hello"
    with keyed.socket(authorization=f"Bearer {keyed.bob}") as socket:
        begin(socket, str({**given, "h2ogpt_key": "wrong"}))
        assert said(rest(socket)[-1])["response"] == "hello"
    with pytest.raises(InvalidStatus) as refused, keyed.socket(authorization="Bearer wrong"):
        raise AssertionError
    assert refused.value.response.status_code == 401


def test_handshakes_that_are_none(opened: Caller) -> None:
    for more, status in ((b"", b"400"), (KEY.replace(b"==", b""), b"400"), (b"X-A: " + b"a" * 9000 + b"\r\n", b"400")):
        connection = opened.connection()
        connection.connect()
        assert connection.sock is not None
        connection.sock.sendall(HANDSHAKE % more)
        assert connection.sock.recv(100).startswith(b"HTTP/1.1 " + status)
        connection.close()
    connection = opened.connection()
    connection.connect()
    assert connection.sock is not None
    large = b"\x81\xff" + (262_145).to_bytes(8) + b"abcdefgh"
    connection.sock.sendall(HANDSHAKE % KEY + large)
    assert connection.sock.recv(100).startswith(b"HTTP/1.1 400")
    connection.close()
    assert "Traceback" not in opened.server.log.read_text()
    assert opened.get("/queue/join", upgrade="h2c", connection="Upgrade").status == 405


def test_a_request_may_come_before_on_the_same_connection(opened: Caller) -> None:
    connection = opened.connection()
    connection.connect()
    assert connection.sock is not None
    connection.sock.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert connection.sock.recv(1000).startswith(b"HTTP/1.1 200")
    time.sleep(0.05)
    connection.sock.sendall(HANDSHAKE % KEY)
    answer = connection.sock.recv(1000)
    assert answer.startswith(b"HTTP/1.1 101")
    assert re.search(rb"x-request-id: req_", answer, re.IGNORECASE)
    connection.close()


def test_connections_are_counted_and_logged(opened: Caller) -> None:
    def open_now() -> int:
        text = opened.get("/metrics").body.decode()
        return int(float(re.search(r"^openai_proxy_connections (\S+)", text, re.MULTILINE)[1]))  # type: ignore[index]

    until(lambda: open_now() == 1)
    with opened.socket() as socket:
        assert hear(socket)
        assert open_now() == 2
    until(lambda: open_now() == 1)
    assert re.search(r'"path":"/queue/join","status":101', opened.server.log.read_text())


def test_a_drain_ends_it(serve: Serve) -> None:
    caller = Caller(serve(OPEN.replace("drain = 1.0", "drain = 0.2")))
    with caller.socket() as socket:
        begin(socket, str({"instruction": WORDS, "stream_output": True, "visible_models": "stalled"}))
        while hear(socket)["msg"] != "process_generating":
            pass
        began = time.monotonic()
        caller.server.process.send_signal(signal.SIGTERM)
        last_words(socket)
    assert socket.close_code in (1001, 1012)
    assert caller.server.process.wait(10) == 0
    assert time.monotonic() < began + 5
