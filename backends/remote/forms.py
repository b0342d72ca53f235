"""Requests with files -> multipart/form-data (RFC 7578)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct

from backends.remote.drawing import fields_of
from backends.requests import Detection, Image, ImageRequest, TranscriptionRequest


class File(Struct, frozen=True):
    """One file of a form: the name of its field and its own."""

    name: str
    filename: str
    data: bytes
    media_type: str = "application/octet-stream"


def form_of(request: TranscriptionRequest, model: str) -> tuple[bytes, bytes]:
    """The content type and the body of a transcription or translation."""
    fields = [("model", model), ("response_format", "verbose_json" if request.timestamps else "json")]
    if streams(request):
        fields.append(("stream", "true"))
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
    return multipart(fields, [File("file", f"audio.{request.audio.format}", request.audio.data)])


def streams(request: TranscriptionRequest) -> bool:
    """Whether the server is asked for a stream: in one there are no times."""
    return request.stream and not request.timestamps


def _chunking(detection: Detection | None) -> list[tuple[str, str]]:
    """What counts as speech, where the client did not leave it at what is usual."""
    if detection is None:
        return []
    if detection.normalised:
        return [("chunking_strategy", "auto")]
    members = {
        "type": "server_vad",
        "threshold": f"{detection.threshold:g}",
        "silence_duration_ms": f"{detection.silence * 1000:.0f}",
        "prefix_padding_ms": f"{detection.padding * 1000:.0f}",
    }
    return [(f"chunking_strategy[{name}]", value) for name, value in members.items()]


def picture_form(request: ImageRequest, model: str) -> tuple[bytes, bytes]:
    """The content type and the body of an edit or a variation: the client's own fields, and the pictures."""
    fields = [text for name, value in fields_of(request).items() for text in _texts(name, value)]
    return multipart([("model", model), *fields], _pictures(request))


def _pictures(request: ImageRequest) -> Iterator[File]:
    name = "image" if len(request.images) == 1 else "image[]"
    for number, image in enumerate(request.images):
        yield _picture(name, f"image{number}", image)
    if request.mask is not None:
        yield _picture("mask", "mask", request.mask)


def _picture(name: str, stem: str, image: Image) -> File:
    return File(name, f"{stem}.{image.media_type.rpartition('/')[2]}", image.data, image.media_type)


def _texts(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """A field, or those of an object's members."""
    if isinstance(value, dict):
        for member, inner in value.items():
            yield from _texts(f"{name}[{member}]", inner)
    else:
        yield name, value if isinstance(value, str) else msgspec.json.encode(value).decode()


def multipart(fields: Iterable[tuple[str, str]], files: Iterable[File]) -> tuple[bytes, bytes]:
    """A form of texts and files."""
    boundary = secrets.token_hex(16)
    pieces = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields
    ]
    for file in files:
        named = f'name="{file.name}"; filename="{file.filename}"\r\ncontent-type: {file.media_type}\r\n\r\n'
        pieces += [f"--{boundary}\r\ncontent-disposition: form-data; {named}".encode(), file.data, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    return f"multipart/form-data; boundary={boundary}".encode(), b"".join(pieces)
