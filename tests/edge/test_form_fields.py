"""Fields that are taken out of a form: what is left reads as before, without them."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openai_proxy.config import Limits
from openai_proxy.form_fields import taken_out
from openai_proxy.forms import read_form
from tests.dialects.openai.forms import BOUNDARY, form, part

NAMES = frozenset({"user", "h2ogpt_key"})
EDGE = BOUNDARY.encode()


class Body(msgspec.Struct):
    file: bytes
    model: str | None = None


FILE = part("file", b"\0\r\nab--\r\n\r\nc", "a.bin")


def test_they_are_told_and_gone() -> None:
    whole = form(part("user", "alice:wonder:land"), FILE, part("h2ogpt_key", "sk-\r\nx"), part("model", "echo"))
    left, found = taken_out(whole, EDGE, NAMES)
    assert found == {"user": "alice:wonder:land", "h2ogpt_key": "sk-\r\nx"}
    assert left == form(FILE, part("model", "echo"))
    assert read_form(left, EDGE, Body, Limits())[0] == Body(b"\0\r\nab--\r\n\r\nc", "echo")


def test_of_two_the_last_counts_and_both_are_gone() -> None:
    left, found = taken_out(form(part("user", "a:b"), FILE, part("user", "c:d")), EDGE, NAMES)
    assert (left, found) == (form(FILE), {"user": "c:d"})


@pytest.mark.parametrize(
    "head",
    [
        "Content-Disposition: form-data; name=user",
        'content-disposition:form-data;name="user"',
        'X-Other: a\r\nContent-Disposition: form-data; name="user"; filename="a"',
    ],
)
def test_however_it_is_written(head: str) -> None:
    whole = f"--{BOUNDARY}\r\n{head}\r\n\r\nalice:x\r\n".encode() + form(FILE)
    assert taken_out(whole, EDGE, NAMES) == (form(FILE), {"user": "alice:x"})


@pytest.mark.parametrize(
    "body", [b"", b"nothing", form(FILE), f"--{BOUNDARY}\r\nuser\r\n".encode(), part("user", "a")[:40]]
)
def test_what_has_none_stays_as_it_is(body: bytes) -> None:
    assert taken_out(body, EDGE, NAMES) == (body, {})


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    left, found = taken_out(body, EDGE, NAMES)
    assert found or left == body
