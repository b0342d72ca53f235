"""What a container is given -> what a model is asked, in OpenAI's fields.

Source: the containers `openai-inference` and `openai-inference-streaming` of Ritual's examples take {"model", "params":
{"endpoint", ...}}. A body of OpenAI without `params` is taken too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

import audio
import vision
from backends import Kind
from backends.errors import BadAudio, BadImage
from backends.errors import Refused as RefusedByEngine
from openai_proxy import media
from openai_proxy.auth import without_credentials
from openai_proxy.bodies.asking import Asked, Asking
from openai_proxy.errors import InvalidRequest
from openai_proxy.fetching.fetcher import Begins, Fetcher
from openai_proxy.settings.protocols import Container

ENDPOINTS: Mapping[str, Kind] = {
    **dict.fromkeys(("completion", "completions", "chat", "chat/completions"), "chat"),
    **dict.fromkeys(("embedding", "embeddings"), "embedding"),
    **dict.fromkeys(("image", "images", "images/generations", "images/edits"), "image"),
    **dict.fromkeys(("speech", "audio/speech"), "speech"),
    **dict.fromkeys(("transcription", "transcriptions", "audio/transcriptions"), "transcription"),
}  # fmt: skip
# Said of a request, not asked of a model.
ABOUT = frozenset({"endpoint", "provider", "params", "stream", "stream_options"})
# The answer has one form here, whatever a field says of it.
FORMS: Mapping[Kind, frozenset[str]] = {
    "image": frozenset({"response_format"}),
    "transcription": frozenset({"response_format"}),
    "embedding": frozenset({"encoding_format"}),
}


def kept(data: Mapping[str, Any]) -> bytes:
    """What is kept of a container's data: not what says who calls."""
    clean = without_credentials(data)
    if isinstance(params := clean.get("params"), Mapping):
        clean["params"] = without_credentials(params)
    return msgspec.json.encode(clean)


async def asked(asking: Asking, container: Container, data: Mapping[str, Any], owner: str) -> Asked:
    """Raises EdgeError or BackendError, in the words of OpenAI's fields."""
    params = data.get("params", data)
    if not isinstance(params, Mapping):
        raise InvalidRequest("params must be an object.", param="params")
    fields = {name: value for name, value in params.items() if name not in ABOUT}
    kind = kind_of(container, params.get("endpoint", data.get("endpoint")), fields)
    for name in FORMS.get(kind, ()):
        fields.pop(name, None)
    fields["model"] = data.get("model") or fields.get("model") or container.model
    if fields["model"] is not None and not isinstance(fields["model"], str):
        raise InvalidRequest("model must be a string.", param="model")
    return await asking(kind, await _with_files(asking.fetcher, kind, fields, owner), owner)


def kind_of(container: Container, endpoint: object, fields: Mapping[str, Any]) -> Kind:
    """What is asked for: by its endpoint, or by the fields that only such a request has. Raises InvalidRequest."""
    only = container.kinds[0] if len(container.kinds) == 1 and endpoint is None else None
    kind = only or _meant(endpoint, fields) or (container.kinds[0] if container.kinds else "chat")
    if kind == "chat" and "messages" not in fields and "prompt" in fields:
        kind = "completion"
    if container.kinds and kind not in container.kinds:
        raise InvalidRequest(f"This container serves {', '.join(container.kinds)}, not {kind}.", param="endpoint")
    return kind


def _meant(endpoint: object, fields: Mapping[str, Any]) -> Kind | None:
    if endpoint is not None:
        kind = ENDPOINTS.get(endpoint.strip("/").removeprefix("v1/")) if isinstance(endpoint, str) else None
        if kind is None:
            raise InvalidRequest(f"The endpoint {endpoint!r:.100} is not served.", param="endpoint")
        return kind
    signs: tuple[tuple[str, Kind], ...] = (
        ("messages", "chat"),
        ("file", "transcription"),
        ("voice", "speech"),
        ("input", "embedding"),
    )
    return next((kind for name, kind in signs if name in fields), None)


def is_many(data: Mapping[str, Any]) -> bool:
    """Whether several texts are to be embedded; a list of numbers is one, in tokens."""
    params = data.get("params", data)
    texts = params.get("input") if isinstance(params, Mapping) else None
    return isinstance(texts, list) and not (texts and isinstance(texts[0], int))


def chained(container: Container, output: Any) -> dict[str, Any]:
    """What a container is given of the one before it."""
    kind = container.kinds[0] if container.kinds else "chat"
    params: dict[str, Any]
    match kind:
        case "transcription":
            params = {"file": output.get("audio") if isinstance(output, dict) else output}
        case "embedding" | "speech":
            params = {"input": text_of(output)}
        case "image" | "completion":
            params = {"prompt": text_of(output)}
        case _:
            params = {"messages": [{"role": "user", "content": text_of(output)}]}
    return {"model": container.model, "params": {"endpoint": "completion" if kind == "chat" else kind, **params}}


def text_of(output: Any) -> str:
    """An output in words."""
    if isinstance(output, dict):
        output = output.get("text", output)
    return output if isinstance(output, str) else _json(output)


def _json(output: Any) -> str:
    return msgspec.json.encode(output).decode()


async def _with_files(fetcher: Fetcher, kind: Kind, fields: dict[str, Any], owner: str) -> dict[str, Any]:
    """The fields with files as bytes: they come as data URLs, in base64, or as addresses to fetch."""

    async def read(given: object, param: str, begins: Begins, error: type[RefusedByEngine]) -> bytes:
        return await _file(fetcher, given, param, begins, error, owner)

    if kind == "transcription" and "file" in fields:
        fields["file"] = await read(fields["file"], "file", _is_sound, BadAudio)
    if kind == "image" and "image" in fields:
        given = fields.pop("image")
        pictures = given if isinstance(given, list) else [given]
        fields["image[]"] = [await read(each, "image", vision.is_picture, BadImage) for each in pictures]
        if fields.get("mask") is not None:
            fields["mask"] = await read(fields["mask"], "mask", vision.is_picture, BadImage)
    return fields


def _is_sound(head: bytes) -> bool:
    return audio.sniff(head) is not None


async def _file(
    fetcher: Fetcher, given: object, param: str, begins: Begins, error: type[RefusedByEngine], owner: str
) -> bytes:
    if not isinstance(given, str):
        raise InvalidRequest(f"{param} must be a data URL, base64 or an address.", param=param)
    head = media.DATA_URL.match(given[: media.SHORT_HEAD])
    if head is not None:
        return media.from_base64(given[head.end() :], param, error)
    if media.is_address(given):
        return await fetcher.fetch(fetcher.read(given, param), param, begins, owner=owner)
    return media.from_base64(given, param, error)
