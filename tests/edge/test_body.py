"""What a body's head must say before it is read."""

from __future__ import annotations

import pytest

from openai_proxy.body import check_head
from openai_proxy.errors import RequestTooLarge, UnsupportedMediaType


def head(content_type: bytes = b"application/json", **more: bytes) -> dict[bytes, bytes]:
    fields = {b"content-type": content_type, b"content-length": b"10"}
    return fields | {name.replace("_", "-").encode(): value for name, value in more.items()}


@pytest.mark.parametrize(
    "content_type",
    [b"application/json", b"Application/JSON", b"application/json; charset=utf-8", b'application/json;charset="UTF-8"'],
)
def test_json_in_utf_8_is_taken(content_type: bytes) -> None:
    check_head(head(content_type), 10)


@pytest.mark.parametrize(
    "content_type",
    [b"", b"text/plain", b"application/jsonp", b"application/json; charset=utf-16", b"multipart/form-data; boundary=x"],
)
def test_anything_else_is_not(content_type: bytes) -> None:
    with pytest.raises(UnsupportedMediaType):
        check_head(head(content_type), 10)


def test_a_coding_is_not_undone() -> None:
    check_head(head(content_encoding=b"identity"), 10)
    with pytest.raises(UnsupportedMediaType):
        check_head(head(content_encoding=b"gzip"), 10)


def test_the_announced_length_counts() -> None:
    check_head(head(), 10)
    with pytest.raises(RequestTooLarge):
        check_head(head(), 9)
