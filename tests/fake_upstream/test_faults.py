"""Each fault, as a raw socket sees it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from openai_proxy.fake_upstream.faults import FAULTS, fault
from tests.edge.raw import everything, head_of, status, until, wait_for
from tests.fake_upstream.raw import asked, body_of, chat, connected, contents, events, is_reset, unchunked
from tests.upstream import Upstream

USAGE: Any = {"stream_options": {"include_usage": True}}


def listens(fake: Upstream) -> bool:
    try:
        connected(fake).close()
    except ConnectionRefusedError:
        return False
    return True


def test_every_name_is_known() -> None:
    for name in FAULTS:
        assert fault(name.replace("NNN", "503").replace("-N", "-3")).name
    with pytest.raises(ValueError, match="there is no fault 'reset-after-x'"):
        fault("reset-after-x")
    with pytest.raises(ValueError, match="no fault"):
        fault("status-200")


@pytest.mark.parametrize("stream", [True, False])
def test_before_any_byte(fake: Upstream, stream: bool) -> None:
    assert is_reset(fake, chat(script="fault=reset-before", stream=stream)) == (b"", True)
    assert is_reset(fake, chat(script="fault=close-before", stream=stream)) == (b"", False)


@pytest.mark.parametrize(("name", "reset"), [("reset", True), ("close", False)])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_after_some_chunks(fake: Upstream, name: str, reset: bool, count: int) -> None:
    answer, was_reset = is_reset(fake, chat(script=f"delay=0.02,fault={name}-after-{count}"))
    assert was_reset is reset
    assert status(answer) == 200
    assert body_of(answer).count(b'"content":"0') == count
    assert not answer.endswith(b"0\r\n\r\n")
    assert fake.wait_for(lambda seen: seen.cut).aborted == []


def test_after_some_bytes_of_a_whole_body(fake: Upstream) -> None:
    answer = asked(fake, chat(script="fault=close-after-10", stream=False))
    assert int(head_of(answer)["content-length"]) > len(body_of(answer)) == 10


@pytest.mark.parametrize(("script", "mark"), [("stall-before", b""), ("stall-after-2", b"0000001 ")])
def test_silence_until_the_client_leaves(fake: Upstream, script: str, mark: bytes) -> None:
    with connected(fake) as connection:
        connection.sendall(chat(script=f"fault={script}"))
        if mark:
            until(connection, mark)
        fake.wait_for(lambda seen: seen.running == 1)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        left = time.monotonic()
    (aborted,) = fake.wait_for(lambda seen: seen.aborted).aborted
    assert 0 <= aborted.at - left < 5
    assert aborted.after >= 0.2
    assert fake.seen().running == 0


def test_trickle(fake: Upstream) -> None:
    begin = time.monotonic()
    with connected(fake) as connection:
        connection.sendall(chat(script="fault=trickle,chunks=1"))
        until(connection, b'"object"')
    assert time.monotonic() - begin > 0.2


def test_slow_head(fake: Upstream) -> None:
    begin = time.monotonic()
    answer = asked(fake, chat(script="fault=slow-head", stream=False))
    assert time.monotonic() - begin > 0.01 * len(answer.partition(b"\r\n\r\n")[0])
    assert json.loads(body_of(answer))["object"] == "chat.completion"


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "authentication_error", None),
        (404, "invalid_request_error", None),
        (429, "rate_limit_error", None),
        (500, "server_error", None),
        (502, "server_error", None),
        (503, "server_error", None),
    ],
)
def test_statuses(fake: Upstream, number: int, kind: str, code: str | None) -> None:
    answer = asked(fake, chat(script=f"fault=status-{number},retry_after=2"))
    assert status(answer) == number
    assert head_of(answer).get("retry-after") == ("2" if number in (429, 503) else None)
    error = json.loads(body_of(answer))["error"]
    assert (error["type"], error["param"], error["code"]) == (kind, None, code)


def test_a_status_with_words_of_ones_own(fake: Upstream) -> None:
    script = '{"fault": "status-400", "message": "too long, by far", "code": "context_length_exceeded"}'
    error = json.loads(body_of(asked(fake, chat(script=script))))["error"]
    assert (error["message"], error["code"]) == ("too long, by far", "context_length_exceeded")
    assert "retry-after" not in head_of(asked(fake, chat(script="fault=status-429,retry_after=")))


@pytest.mark.parametrize(("name", "number"), [("status-500-html", 500), ("wrong-type", 200)])
@pytest.mark.parametrize("stream", [True, False])
def test_pages(fake: Upstream, name: str, number: int, stream: bool) -> None:
    answer = asked(fake, chat(script=f"fault={name}", stream=stream))
    assert status(answer) == number
    assert head_of(answer)["content-type"].startswith("text/html")
    assert body_of(answer).startswith(b"<!DOCTYPE html>")


def test_what_fastapi_says(fake: Upstream) -> None:
    answer = asked(fake, chat(script="fault=status-422-detail,message=no"))
    assert status(answer) == 422
    [told] = json.loads(body_of(answer))["detail"]
    assert (told["loc"], told["msg"]) == (["body", "messages", 0], "no")


def test_malformed_events(fake: Upstream) -> None:
    body = unchunked(asked(fake, chat(script="fault=malformed-sse,chunks=2")))
    lines = body.split(b"\n\n")
    assert b"this line is no field" in lines
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[2].removeprefix(b"data: "))
    assert lines[-2] == b"data: [DONE]"


@pytest.mark.parametrize("stream", [True, False])
def test_truncated_json(fake: Upstream, stream: bool) -> None:
    answer = asked(fake, chat(script="fault=truncated-json,chunks=2", stream=stream))
    text = unchunked(answer).split(b"\n\n")[2].removeprefix(b"data: ") if stream else body_of(answer)
    assert text.startswith(b'{"id":')
    with pytest.raises(json.JSONDecodeError):
        json.loads(text)


@pytest.mark.parametrize(("name", "last"), [("error-event", None), ("error-event-done", "[DONE]")])
def test_an_error_in_the_middle(fake: Upstream, name: str, last: str | None) -> None:
    told = events(unchunked(asked(fake, chat(script=f"fault={name},chunks=4,message=broken"))))
    assert contents([each for each in told if "choices" in each]) == ["0000000 ", "0000001 "]
    assert told[3]["error"] == {"message": "broken", "type": "server_error", "param": None, "code": None}
    assert told[4:] == ([last] if last else [])


def test_no_done(fake: Upstream) -> None:
    told = events(unchunked(asked(fake, chat(script="fault=no-done"))))
    assert told[-1]["choices"][0]["finish_reason"] == "stop"


@pytest.mark.parametrize(
    ("name", "places"), [("none", [18]), ("no-usage", []), ("duplicate-usage", [18, 19]), ("early-usage", [1])]
)
def test_usages(fake: Upstream, name: str, places: list[int]) -> None:
    told = events(unchunked(asked(fake, chat(script=f"fault={name}", **USAGE))))
    assert [place for place, each in enumerate(told) if each != "[DONE]" and each["usage"]] == places
    assert told[-1] == "[DONE]"
    assert len(contents(told)) == 16


def test_no_usage_in_a_whole_answer(fake: Upstream) -> None:
    assert "usage" not in json.loads(body_of(asked(fake, chat(script="fault=no-usage", stream=False))))


def test_a_huge_chunk(fake: Upstream) -> None:
    told = events(unchunked(asked(fake, chat(script="fault=huge-chunk,chunks=2"))))
    assert sorted(map(len, contents(told))) == [8, 8, 10_000_001]
    assert len(body_of(asked(fake, chat(script="fault=huge-chunk", stream=False)))) > 10_000_000


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("name", "mark"), [("endless-head", b"\r\n\r\n"), ("endless-body", b"\r\n0\r\n\r\n")])
def test_without_end(fake: Upstream, name: str, mark: bytes, stream: bool) -> None:
    with connected(fake) as connection:
        connection.sendall(chat(script=f"fault={name}", stream=stream))
        received = b""
        while len(received) < 3_000_000:
            received += connection.recv(65536)
    assert mark not in received
    fake.wait_for(lambda seen: seen.aborted and not seen.running)


@pytest.mark.parametrize("stream", [True, False])
def test_a_length_that_is_too_large(fake: Upstream, stream: bool) -> None:
    answer = asked(fake, chat(script="fault=bad-length", stream=stream, close=False))
    assert int(head_of(answer)["content-length"]) == len(body_of(answer)) + 100


def test_split_at_every_byte(fake: Upstream) -> None:
    answer = asked(fake, chat(script="fault=split,chunks=2"))
    assert contents(events(unchunked(answer))) == ["0000000 ", "0000001 "]
    assert fake.seen().last[0].writes == 1 + len(body_of(answer))


def test_all_at_once(fake: Upstream) -> None:
    answer = asked(fake, chat(script="fault=merged,delay=10"))
    assert len(contents(events(unchunked(answer)))) == 16
    assert body_of(answer).count(b"\r\n") == 4


def test_other_line_ends(fake: Upstream) -> None:
    body = unchunked(asked(fake, chat(script="fault=crlf")))
    assert body.count(b"\r\n") == body.count(b"\n")
    assert len(contents(events(body.replace(b"\r\n", b"\n")))) == 16


def test_comments(fake: Upstream) -> None:
    body = unchunked(asked(fake, chat(script="fault=comments")))
    assert body.count(b": a comment\n\n") == 18
    assert len(contents(events(body.replace(b": a comment\n\n", b"")))) == 16


@pytest.mark.parametrize("stream", [True, False])
def test_bytes_that_are_no_text(fake: Upstream, stream: bool) -> None:
    answer = asked(fake, chat(script="fault=not-utf8", stream=stream))
    assert answer.count(b'"object":"\xff') == 1


def test_pings_without_end(fake: Upstream) -> None:
    with connected(fake) as line:
        line.sendall(chat(script="fault=pings-after-2"))
        received = unchunked(until(line, b": a comment\n\n\r\n") + b"0\r\n\r\n")
        assert len(contents(events(received.replace(b": a comment\n\n", b"")))) == 2
        assert until(line, b": a comment\n\n")


def test_down_for_a_while(fake: Upstream) -> None:
    with connected(fake) as idle, connected(fake) as busy:
        busy.sendall(chat(script="delay=1"))
        until(busy, b"0000000 ")
        begin = time.monotonic()
        assert fake.script(down=1)["down"] is None
        assert everything(idle) == b""
        everything(busy)
        wait_for(lambda: not listens(fake))
        fake.wait_for(lambda seen: seen.cut == 1)
    wait_for(lambda: listens(fake))
    assert time.monotonic() - begin >= 1
    assert status(asked(fake, chat())) == 200


def test_down_by_a_request(fake: Upstream) -> None:
    assert asked(fake, chat(script="down=1")) == b""
    wait_for(lambda: not listens(fake))
    wait_for(lambda: listens(fake))
