"""What a server's error answers become."""

from __future__ import annotations

import json

import pytest

from backends.errors import ContextExceeded, EngineFailed, Rejected
from backends.remote.faults import clean, fault, fault_in_stream, retry_after


def answer(**error: object) -> bytes:
    return json.dumps({"error": error}).encode()


def test_status_and_words_are_passed_on() -> None:
    error = fault(400, answer(message="n is bad", type="invalid_request_error", code="bad_n", param="body.n"), {})
    assert isinstance(error, Rejected)
    assert (error.status, error.kind, error.code, error.param) == (400, "invalid_request_error", "bad_n", "n")
    assert error.message == "n is bad"
    assert not error.started


@pytest.mark.parametrize(
    ("status", "kind", "code", "started"),
    [
        (403, "permission_error", "forbidden", False),
        (404, "invalid_request_error", "not_found", False),
        (422, "invalid_request_error", "invalid_value", False),
        (429, "rate_limit_error", "rate_limit_exceeded", False),
        (500, "server_error", "engine_failed", True),
        (502, "server_error", "engine_failed", True),
        (503, "server_error", "overloaded", False),
        (504, "timeout_error", "upstream_timeout", True),
    ],
)
def test_what_other_servers_call_it_is_put_in_our_terms(status: int, kind: str, code: str, started: bool) -> None:
    error = fault(status, answer(message="m", type="BadRequestError", code=status), {})
    assert isinstance(error, Rejected)
    assert (error.status, error.kind, error.code, error.started) == (status, kind, code, started)


@pytest.mark.parametrize(
    ("param", "shown"),
    [
        ("messages.0.content[1]", "messages.0.content[1]"),
        ("the-secret", None),
        ("sk-verysecret-123 http://10.0.0.5:99/x", None),
        ("sk-verysecret-123", None),
        ("/srv/p", None),
        ("10.0.0.5:99", None),
        ("a\r\nb: c", None),
    ],
)
def test_a_field_is_told_if_it_looks_like_one(param: str, shown: str | None) -> None:
    def hide(text: str) -> str:
        return text.replace("the-secret", "[key]")

    for body in (
        answer(message="m", param=param),
        json.dumps({"detail": [{"loc": ["body", param], "msg": "m"}]}).encode(),
    ):
        error = fault(400, body, {}, hide)
        assert isinstance(error, Rejected)
        assert error.param == shown


@pytest.mark.parametrize(
    "key", ["AKIAIOSFODNN7EXAMPLE", "hf_abcdefghijklmnopqrstuvwx", "gsk_0123456789abcdef", "xai-0123456789"]
)
def test_keys_of_other_makers_are_hidden(key: str) -> None:
    assert clean(f"The key {key} is wrong") == "The key [key] is wrong"


@pytest.mark.parametrize("status", [401, 407])
def test_our_own_key_is_no_fault_of_the_clients(status: int) -> None:
    error = fault(status, answer(message="Incorrect API key provided: sk-abcdef123"), {})
    assert isinstance(error, Rejected)
    assert (error.status, error.code) == (502, "upstream_unauthorized")
    assert "sk-" not in error.message


@pytest.mark.parametrize(
    "body",
    [
        answer(message="too long", code="context_length_exceeded"),
        answer(message="too long", type="exceed_context_size_error", code=400),
        answer(message="too long", type="BadRequestError", code=400, param="input_text"),
    ],
)
def test_too_long_a_prompt_is_known_by_any_name(body: bytes) -> None:
    assert isinstance(fault(400, body, {}), ContextExceeded)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"5", b'{"error":5}', b'{"error":{"message":5}}', b"\xff"])
def test_what_says_nothing_gets_a_sentence(body: bytes) -> None:
    error = fault(500, body, {})
    assert isinstance(error, Rejected)
    assert "500" in error.message


@pytest.mark.parametrize("body", [b'{"error":"no"}', b'{"message":"no"}', b'{"object":"error","message":"no"}'])
def test_other_shapes_are_understood(body: bytes) -> None:
    assert fault(400, body, {}).message == "no"


@pytest.mark.parametrize(
    ("detail", "message", "param"),
    [
        ("no such voice", "no such voice", None),
        (
            [{"type": "missing", "loc": ["body", "messages"], "msg": "Field required", "input": {"x": "secret"}}],
            "messages: Field required",
            "messages",
        ),
        (
            [
                {"loc": ["body", "messages", 0, "content"], "msg": "Input should be a valid string"},
                {"loc": ["query", "limit"], "msg": "too many"},
            ],
            "messages.0.content: Input should be a valid string; limit: too many",
            "messages.0.content",
        ),
        ([{"loc": ["body", 17], "msg": "JSON decode error"}], "JSON decode error", None),
        ([{"loc": "body", "msg": "bad"}, 5, {"msg": 5}, {"loc": [{}], "msg": "worse"}], "bad; worse", None),
        ({"message": "no", "param": "n"}, "no", "n"),
        ([], "The server behind this model answered with status 422.", None),
        ([{"loc": ["body", "a"], "msg": "x"}] * 9, "; ".join(["a: x"] * 8), "a"),
        ([{"loc": ["body", "a" * 300], "msg": "x"}], "a" * 200 + ": x", "a" * 200),
    ],
)
def test_what_fastapi_says_keeps_its_reason_and_its_field(detail: object, message: str, param: str | None) -> None:
    error = fault(422, json.dumps({"detail": detail}).encode(), {})
    assert isinstance(error, Rejected)
    assert (error.message, error.param) == (message, param)
    assert (error.status, error.kind, error.code) == (422, "invalid_request_error", "invalid_value")


def test_other_statuses_are_no_answer() -> None:
    assert isinstance(fault(302, b"", {}), EngineFailed)


def test_an_error_in_a_stream_has_the_status_that_it_tells() -> None:
    error = fault_in_stream(answer(message="slow down", code=429))
    assert isinstance(error, Rejected)
    assert error.status == 429
    assert isinstance(fault_in_stream(answer(message="m", code="x")), Rejected)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("see http://10.0.0.7:8000/v1/x?y=z for more", "see [address] for more"),
        ("connect to 192.168.1.5:8000 failed", "connect to [address] failed"),
        ("localhost:8000 is down", "[address] is down"),
        ("Incorrect API key provided: sk-proj-ab***yz.", "Incorrect API key provided: [key]"),
        ("Cannot connect to host gpu2.internal:8000 ssl", "Cannot connect to host [address] ssl"),
        ("connect [fe80::1]:8000 failed at 12:30:45", "connect [address] failed at 12:30:45"),
        ("Bearer abc.def was sent", "[key] was sent"),
        ("plain words, 3.5 of 4.0", "plain words, 3.5 of 4.0"),
        ("gpu2.cluster.internal does not answer", "[address] does not answer"),
        ('File "/usr/lib/python3.12/json/decoder.py", line 3', 'File "[file]", line 3'),
        ("no /home/x/models/a.gguf, nor ~/b/c", "no [file], nor [file]"),
        ("(/opt/venv) and (/opt/venv/bin)", "([file]) and ([file])"),
        ("cannot open /weights/big/model-1.safetensors: gone", "cannot open [file]: gone"),
        (r"at C:\Users\x\server.py", "at [file]"),
        ("POST /v1/chat/completions and/or text/plain", "POST /v1/chat/completions and/or text/plain"),
        ("meta-llama/Llama-3 has no /properties/name/type", "meta-llama/Llama-3 has no /properties/name/type"),
    ],
)
def test_addresses_keys_and_files_are_left_out(said: str, shown: str) -> None:
    assert clean(said) == shown


def test_the_very_key_is_left_out_whatever_it_looks_like() -> None:
    assert "hunter2" not in clean("your key hunter2 is bad", lambda text: text.replace("hunter2", "***"))


def test_words_are_bounded() -> None:
    assert len(clean("x" * 10_000)) == 2000


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"7", 7.0),
        (b"99999", 120.0),
        (b"soon", None),
        (b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        (b"", None),
        (b"-1", None),
        (b"Thu, 01 Jan 1970 00:01:40 GMT", 90.0),
        (b"Thu, 01 Jan 1970 00:00:05 GMT", 0.0),
    ],
)
def test_retry_after_in_both_forms(value: bytes, seconds: float | None) -> None:
    assert retry_after({b"retry-after": value}, now=10.0) == seconds
