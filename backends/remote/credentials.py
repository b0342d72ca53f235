"""Keys and certificates of an upstream, read when its model starts."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from backends.remote.options import UpstreamOptions

SHORTEST = 6  # characters of what is hidden beside the key


class Secret:
    """A key that shows itself to nobody by accident. `beside` are other texts that clients shall not read."""

    __slots__ = ("_hidden", "_value")

    def __init__(self, value: str, beside: Iterable[str] = ()) -> None:
        self._value = value
        # A short one may stand in any text, and is no secret.
        self._hidden = tuple(text for text in (value, *beside) if text and (text == value or len(text) >= SHORTEST))

    def __repr__(self) -> str:
        return "Secret(...)"

    def __bool__(self) -> bool:
        return bool(self._value)

    @property
    def header(self) -> bytes:
        """A ready line of a request's head; empty where there is no key."""
        return f"authorization: Bearer {self._value}\r\n".encode("ascii") if self._value else b""

    def hide(self, text: str) -> str:
        """`text` without the key and the others, for what an upstream says of itself."""
        for secret in self._hidden:
            text = text.replace(secret, "***")
        return text


def problems(upstream: UpstreamOptions) -> Iterator[tuple[str, str]]:
    """The settings whose keys and certificates cannot be read, each with the reason."""
    try:
        read_key(upstream)
    except ValueError as error:
        yield "key_file" if upstream.key_env is None else "key_env", str(error)
    if upstream.address.scheme == "http":
        return
    try:
        _trusting(upstream)
    except ValueError as error:
        yield "ca_file", str(error)
    if upstream.cert_file is not None:
        try:
            _show(ssl.create_default_context(), upstream, upstream.cert_file)
        except ValueError as error:
            yield "cert_file", str(error)


def read_key(upstream: UpstreamOptions, environment: Mapping[str, str] = os.environ) -> Secret:
    """The key an upstream wants, empty if none is named; with it the values of its headers and its address are hidden.

    Raises ValueError, which names the field, not the key.
    """
    beside = (*upstream.headers.values(), upstream.address.authority)
    if upstream.key_env is not None:
        field = f"key_env {upstream.key_env}"
        if upstream.key_env not in environment:
            raise ValueError(f"upstream {upstream.called}: {field} is not set in the environment")
        value = environment[upstream.key_env].strip()
    elif upstream.key_file is not None:
        field = f"key_file {upstream.key_file}"
        try:
            value = Path(upstream.key_file).expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise ValueError(f"upstream {upstream.called}: {field} cannot be read: {reason}") from None
    else:
        return Secret("", beside)
    if not value:
        raise ValueError(f"upstream {upstream.called}: {field} is empty")
    if not value.isascii() or not value.isprintable() or " " in value:
        raise ValueError(f"upstream {upstream.called}: {field} holds what cannot be a key")
    return Secret(value, beside)


def read_certificates(upstream: UpstreamOptions) -> ssl.SSLContext | None:
    """What TLS with this upstream trusts and shows; None for http. Raises ValueError, which names the field."""
    if upstream.address.scheme == "http":
        return None
    context = _trusting(upstream)
    if not upstream.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if upstream.cert_file is not None:
        _show(context, upstream, upstream.cert_file)
    return context


def _trusting(upstream: UpstreamOptions) -> ssl.SSLContext:
    file = upstream.ca_file
    try:
        return ssl.create_default_context(cafile=None if file is None else os.path.expanduser(file))
    except OSError as error:  # ssl.SSLError is one
        raise ValueError(f"upstream {upstream.called}: ca_file {file} cannot be used: {error.strerror}") from error


def _show(context: ssl.SSLContext, upstream: UpstreamOptions, cert_file: str) -> None:
    key_file = upstream.cert_key_file
    try:
        # With a password of our own an encrypted key is an error; without one OpenSSL would ask at the terminal.
        context.load_cert_chain(
            os.path.expanduser(cert_file), None if key_file is None else os.path.expanduser(key_file), password=""
        )
    except OSError as error:
        files = cert_file if key_file is None else f"{cert_file} with cert_key_file {key_file}"
        raise ValueError(f"upstream {upstream.called}: cert_file {files} cannot be used: {error.strerror}") from error
