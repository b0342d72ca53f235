"""Requests with files -> multipart/form-data (RFC 7578)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from backends.requests import Detection, TranscriptionRequest


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
        fields += _chunking(request.detection)
        fields += [("include[]", "logprobs")] if request.logprobs else []
    return multipart(fields, f"audio.{request.audio.format}", request.audio.data)


def _chunking(detection: Detection | None) -> list[tuple[str, str]]:
    """What counts as speech, where the client did not leave it at what is usual."""
    if detection is None:
        return []
    if detection == Detection():
        return [("chunking_strategy", "auto")]
    members = {
        "type": "server_vad",
        "threshold": f"{detection.threshold:g}",
        "silence_duration_ms": f"{detection.silence * 1000:.0f}",
        "prefix_padding_ms": f"{detection.padding * 1000:.0f}",
    }
    return [(f"chunking_strategy[{name}]", value) for name, value in members.items()]


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
