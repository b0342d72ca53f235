"""Requests with files -> multipart/form-data (RFC 7578)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from backends.requests import TranscriptionRequest


def form_of(request: TranscriptionRequest, model: str) -> tuple[bytes, bytes]:
    """The content type and the body of a transcription or translation."""
    fields = [("model", model), ("response_format", "verbose_json" if request.timestamps else "json")]
    if request.language is not None:
        fields.append(("language", request.language))
    if request.prompt:
        fields.append(("prompt", request.prompt))
    if request.temperature is not None:
        fields.append(("temperature", str(request.temperature)))
    if request.task == "transcribe":
        fields += [("timestamp_granularities[]", granularity) for granularity in request.timestamps]
    return multipart(fields, f"audio.{request.audio.format}", request.audio.data)


def multipart(fields: Iterable[tuple[str, str]], filename: str, data: bytes) -> tuple[bytes, bytes]:
    """A form of texts and one file, `file`."""
    boundary = secrets.token_hex(16)
    pieces = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    head = f'--{boundary}\r\ncontent-disposition: form-data; name="file"; filename="{filename}"\r\n'
    pieces += [
        head.encode(),
        b"content-type: application/octet-stream\r\n\r\n",
        data,
        f"\r\n--{boundary}--\r\n".encode(),
    ]
    return f"multipart/form-data; boundary={boundary}".encode(), b"".join(pieces)
