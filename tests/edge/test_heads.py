"""The request's head: limits either side, one meaning only, and timers."""

from __future__ import annotations

import json
import select
import time

import pytest

from tests.edge.raw import HOST, Listener, chat, error_of, everything, get, head_of, request, status, until, wait_for

PATH = b"/health"


def head(size: int) -> bytes:
    """A whole head of exactly `size` bytes."""
    start = b"GET /health HTTP/1.1\r\nConnection: close\r\n" + HOST + b"X: "
    return start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"


def line(size: int) -> bytes:
    """A request whose first line is exactly `size` bytes."""
    start, end = b"GET /health?", b" HTTP/1.1"
    return start + b"a" * (size - len(start) - len(end)) + end + b"\r\n" + HOST + b"Connection: close\r\n\r\n"


def fields(count: int) -> bytes:
    return b"GET /health HTTP/1.1\r\nConnection: close\r\n" + HOST + b"X: a\r\n" * (count - 2) + b"\r\n"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (head(32_768), 200),
        (head(32_769), 431),
        (line(8_192), 200),
        (line(8_193), 431),
        (fields(64), 200),
        (fields(65), 431),
        (b"GET /health HTTP/1.1\r\nX: " + b"a" * 1_000_000, 431),
        (b"GET /" + b"a" * 1_000_000, 431),
        (b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 100_000, 431),
        (b"\r\n" * 100_000, 431),
    ],
)
def test_limits(listener: Listener, data: bytes, expected: int) -> None:
    answer = listener.send(data)
    assert status(answer) == expected
    if expected == 431:
        assert error_of(answer)["code"] == "headers_too_large"
        assert head_of(answer)["connection"] == "close"


POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST
AMBIGUOUS = {
    "length and coding": POST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "coding and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
    "two same lengths": POST + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": POST + b"Content-Length: 5, 5\r\n\r\nabcde",
    "a signed length": POST + b"Content-Length: +5\r\n\r\nabcde",
    "a negative length": POST + b"Content-Length: -5\r\n\r\nabcde",
    "a length in hex": POST + b"Content-Length: 0x5\r\n\r\nabcde",
    "an endless length": POST + b"Content-Length: 99999999999999999999999\r\n\r\nabcde",
    "an unknown coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "gzip then chunked": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked then gzip": POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a vertical tab": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + b"Content-Length : 5\r\n\r\nabcde",
    "a folded line": POST + b"X: a\r\n b\r\n\r\n",
    "a folded coding": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF": b"GET /health HTTP/1.1\nHost: localhost\n\n",
    "bare LF in a header": b"GET /health HTTP/1.1\r\nHost: localhost\nX: b\r\n\r\n",
    "bare CR": b"GET /health HTTP/1.1\r\nHost: localhost\rX: b\r\n\r\n",
    "a NUL": b"GET /health HTTP/1.1\r\nHost: localhost\x00\r\n\r\n",
    "no host": b"GET /health HTTP/1.1\r\n\r\n",
    "two hosts": b"GET /health HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "another host in the target": b"GET http://evil/health HTTP/1.1\r\n" + HOST + b"\r\n",
    "a user in the target": b"GET http://a@localhost/health HTTP/1.1\r\n" + HOST + b"\r\n",
    "an authority": b"CONNECT localhost:1 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tunnel to a path": b"CONNECT /v1/models HTTP/1.1\r\n" + HOST + b"\r\n",
    "another scheme": b"GET file:///etc/passwd HTTP/1.1\r\n" + HOST + b"\r\n",
    "no path": b"GET http://localhost HTTP/1.1\r\n" + HOST + b"\r\n",
    "a star": b"GET * HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /health\r\n\r\n",
    "HTTP/1.2": b"GET /health HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": bytes.fromhex("160301020001000001fc0303"),
    "a small method": b"get /health HTTP/1.1\r\n" + HOST + b"\r\n",
    "a byte beyond ASCII": b"GET /\xff HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_heads_are_refused_and_the_connection_closed(listener: Listener, name: str) -> None:
    answer = listener.send(AMBIGUOUS[name] + get("/health"))
    assert status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1, "what follows was taken for a request"
    error = error_of(answer)
    assert (error["type"], error["code"]) == ("invalid_request_error", "bad_request")


def test_a_broken_chunk_ends_the_request(listener: Listener) -> None:
    chunked = POST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    for bad in (b"1\nx\n", b"-1\r\nx\r\n", b"fffffffffffffffffff\r\nx", b"1\r\nxx\r\n", b"1;" + b"a" * 99_999):
        answer = listener.send(chunked + bad + get("/health"))
        assert status(answer) in (400, 431)
        assert answer.count(b"HTTP/1.1 ") == 1


def test_endless_trailers_are_refused(listener: Listener) -> None:
    chunked = POST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n0\r\nX: "
    assert status(listener.send(chunked + b"a" * 2_000_000)) == 431


def test_absolute_form_http_10_and_leading_lines_are_served(listener: Listener) -> None:
    good = b"GET http://localhost/health HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    assert status(listener.send(good)) == 200
    assert status(listener.send(b"GET /health HTTP/1.0\r\n" + HOST + b"\r\n")) == 200
    assert status(listener.send(b"\r\n\r\n" + get("/health"))) == 200


def test_a_head_byte_by_byte_is_served(listener: Listener) -> None:
    with listener.connect() as connection:
        for byte in get("/health"):
            connection.send(bytes([byte]))
        assert status(everything(connection)) == 200


@pytest.mark.parametrize("start", [b"", b"GET /hea", b"\r\n", get("/health", close=False) + b"GET /hea"])
def test_a_slow_head_is_closed(listener: Listener, start: bytes) -> None:
    began = time.monotonic()
    listener.send(start)
    assert 0.2 < time.monotonic() - began < 3


def test_dripping_does_not_extend_the_time(listener: Listener) -> None:
    with listener.connect() as connection:
        connection.sendall(b"GET /")
        began = time.monotonic()
        while not select.select([connection], [], [], 0.02)[0]:
            connection.sendall(b"a")
        assert 0.2 < time.monotonic() - began < 3


def test_idle_connections_are_closed_and_reused_before(listener: Listener) -> None:
    with listener.connect() as connection:
        for _ in range(3):
            connection.sendall(get("/health", close=False))
            assert status(until(connection, b"}")) == 200
            time.sleep(0.1)
        began = time.monotonic()
        assert everything(connection) == b""
        assert 0.2 < time.monotonic() - began < 3


def test_pipelined_requests_are_answered_in_order(listener: Listener) -> None:
    answer = listener.send(get("/health", "X-Request-Id: a", close=False) * 10 + get("/nope", "X-Request-Id: b"))
    assert answer.count(b"HTTP/1.1 200") == 10
    assert answer.rindex(b"HTTP/1.1 200") < answer.index(b"HTTP/1.1 404")


def test_too_many_pipelined_requests_are_refused_after_the_others(listener: Listener) -> None:
    answer = listener.send(get("/health", close=False) * 1000)
    assert answer.count(b"HTTP/1.1 200") == 17
    assert answer.count(b"HTTP/1.1 400") == 1


def test_a_bad_head_waits_for_the_answer_before_it(listener: Listener) -> None:
    answer = listener.send(get("/health", close=False) + b"NONSENSE\r\n\r\n")
    assert answer.index(b"HTTP/1.1 200") < answer.index(b"HTTP/1.1 400")


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
def test_upgrades_are_ignored_and_the_body_is_kept(listener: Listener, upgrade: str) -> None:
    body = b'{"model":"echo","messages":[{"role":"user","content":"hello"}]}'
    lines = (f"Upgrade: {upgrade}", "Connection: Upgrade")
    with listener.connect() as connection:
        connection.sendall(request("POST", "/v1/chat/completions", *lines, body=body, close=False))
        assert status(until(connection, b"chat.completion")) == 200
        connection.sendall(get("/health"))
        assert status(everything(connection)) == 200


def test_an_unread_body_is_not_taken_for_a_request(listener: Listener) -> None:
    answer = listener.send(request("POST", "/nope", body=get("/health"), close=False) + get("/health"), timeout=5)
    assert status(answer) == 404
    assert answer.count(b"HTTP/1.1 ") <= 2
    with listener.connect() as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nContent-Length: 1000000\r\n" + HOST + b"\r\n")
        assert status(everything(connection)) == 200


def test_continue_is_sent_when_the_body_is_wanted(listener: Listener) -> None:
    body = b'{"model":"echo","messages":[{"role":"user","content":"hello"}]}'
    whole = request("POST", "/v1/chat/completions", "Expect: 100-continue", body=body)
    with listener.connect() as connection:
        connection.sendall(whole[: -len(body)])
        assert until(connection, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(body)
        assert status(everything(connection)) == 200


def test_a_whole_answer_is_one_write(listener: Listener) -> None:
    with listener.connect() as connection:
        for path in ("/health", "/v1/models"):
            connection.sendall(get(path, close=False))
            answer = connection.recv(65536)
            assert status(answer) == 200
            head = head_of(answer)
            assert "connection" not in head
            assert len(answer.partition(b"\r\n\r\n")[2]) == int(head["content-length"]) > 0
        connection.sendall(request("HEAD", "/health", close=False))
        answer = connection.recv(65536)
        assert answer.endswith(b"\r\n\r\n")
        assert int(head_of(answer)["content-length"]) > 0
        connection.sendall(get("/health"))
        assert head_of(everything(connection))["connection"] == "close"


@pytest.mark.parametrize("size", [1_000, 200_000])
def test_large_answers_are_whole_too(listener: Listener, size: int) -> None:
    answer = listener.send(chat(stream=False, close=True, text="x" * size, size=8))
    body = answer.partition(b"\r\n\r\n")[2]
    assert len(body) == int(head_of(answer)["content-length"])
    assert json.loads(body)["choices"][0]["message"]["content"] == "x" * size


def test_a_content_type_given_twice_is_none(listener: Listener) -> None:
    twice = ("Content-Type: text/plain", "Content-Type: application/json", "Content-Length: 2")
    answer = listener.send(request("POST", "/v1/chat/completions", *twice) + b"{}")
    assert (status(answer), error_of(answer)["code"]) == (415, "unsupported_media_type")


def test_a_refusal_before_the_body_came_says_that_it_closes(listener: Listener) -> None:
    unread = b"POST /nope HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 300000\r\n" + HOST + b"\r\n"
    with listener.connect() as connection:
        connection.sendall(unread)
        answer = everything(connection)
    assert (status(answer), head_of(answer)["connection"]) == (404, "close")
    with listener.connect() as connection:
        connection.sendall(request("POST", "/nope", body=b"{}", close=False))
        assert "connection" not in head_of(until(connection, b"}}"))
        connection.sendall(get("/health"))
        assert status(everything(connection)) == 200


def test_a_refused_head_request_has_no_body(listener: Listener) -> None:
    answer = listener.send(b"HEAD /health HTTP/1.1\r\n\r\n")
    assert (status(answer), answer.partition(b"\r\n\r\n")[2]) == (400, b"")


def test_an_old_client_is_not_told_to_continue(listener: Listener) -> None:
    whole = b"POST /v1/chat/completions HTTP/1.0\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n"
    body = b'{"model":"echo","messages":[{"role":"user","content":"hello"}]}'
    with listener.connect() as connection:
        connection.sendall(whole + HOST + b"Content-Length: %d\r\n\r\n" % len(body))
        time.sleep(0.1)
        connection.sendall(body)
        assert status(everything(connection)) == 200


def test_refusals_are_logged_and_nothing_is_an_error(listener: Listener) -> None:
    listener.send(AMBIGUOUS["two lengths"])
    wait_for(lambda: any(line.get("access", {}).get("outcome") == "bad_request" for line in listener.lines()))
    assert listener.errors() == []
