"""Signatures of what is sent. Source: https://github.com/standard-webhooks/standard-webhooks, as Svix and Replicate."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable, Sequence


def signed(secrets: Sequence[bytes], id: str, seconds: int, body: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """The headers by which a receiver knows who sent a body, and when (Unix seconds); `id` is the same at each try."""
    content = b"%s.%d.%s" % (id.encode("ascii"), seconds, body)
    return (
        (b"webhook-id", id.encode("ascii")),
        (b"webhook-timestamp", b"%d" % seconds),
        (b"webhook-signature", b" ".join(_signatures(secrets, content))),
    )


def _signatures(secrets: Iterable[bytes], content: bytes) -> Iterable[bytes]:
    return (b"v1," + base64.b64encode(hmac.new(each, content, hashlib.sha256).digest()) for each in secrets)
