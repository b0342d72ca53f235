"""Bodies of multipart/form-data, right and wrong ones."""

from __future__ import annotations

from typing import Any

from tests.dialects.openai.local import Answer, Local

BOUNDARY = "bound"
TRANSCRIPTIONS = "/v1/audio/transcriptions"
TRANSLATIONS = "/v1/audio/translations"


def part(name: str, value: bytes | str, file: str | None = None, more: str = "") -> bytes:
    """One part of a form; `more` are further headers, each with its line end."""
    data = value if isinstance(value, bytes) else value.encode()
    named = f'name="{name}"' + ("" if file is None else f'; filename="{file}"')
    return f"--{BOUNDARY}\r\nContent-Disposition: form-data; {named}\r\n{more}\r\n".encode() + data + b"\r\n"


def form(*parts: bytes) -> bytes:
    """A whole body."""
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def send(local: Local, body: bytes, path: str = TRANSCRIPTIONS, kind: str | None = None) -> Answer:
    """POST a form, or what says that it is one."""
    content_type = kind if kind is not None else f"multipart/form-data; boundary={BOUNDARY}"
    return local.send("POST", path, body, [(b"content-type", content_type.encode())])


def spoken(sound: bytes, **fields: Any) -> bytes:
    """A form with a sound and these fields; a list is a field that is there several times."""
    parts = [part("file", sound, "sound.wav"), part("model", "echo")]
    for name, value in fields.items():
        parts += [part(name, str(each)) for each in (value if isinstance(value, list) else [value])]
    return form(*parts)
