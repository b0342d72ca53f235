"""What no answer's head may say, whichever client read it."""

from __future__ import annotations

from collections.abc import Mapping

from backends.remote.http.errors import Malformed


def check(status: int, version: str, headers: Mapping[bytes, bytes]) -> None:
    """Refuse what llhttp lets pass: other statuses, versions and codings. Raises Malformed."""
    if not 200 <= status <= 599:
        raise Malformed("The upstream's answer has a status that nobody may send here.")
    if version not in ("1.1", "1.0"):
        raise Malformed("The upstream's answer is of another version of HTTP.")
    coding = headers.get(b"transfer-encoding")
    if coding is None:
        return
    if coding.lower() != b"chunked" or version == "1.0":
        raise Malformed("The upstream's answer has a transfer coding other than chunked alone.")
    if b"content-length" in headers:
        raise Malformed("The upstream's answer has a length and is chunked.")
