"""The parameters of an endpoint -> OpenAI's fields, by which every protocol asks engines."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import msgspec

from backends import Model
from backends.errors import BadAudio, BadImage, Refused
from openai_proxy import media
from openai_proxy.dialects.aime.endpoints import Does, Endpoint
from openai_proxy.dialects.aime.faults import Refusal
from openai_proxy.dialects.aime.inputs import INPUTS
from openai_proxy.dialects.aime.languages import code_of

# OpenAI's fields by the names that AIME's clients know them by, for errors.
NAMES: Mapping[Does, Mapping[str, str]] = {
    "chat": {"max_tokens": "max_gen_tokens", "messages": "chat_context"},
    "completion": {"max_tokens": "max_gen_tokens"},
    "image": {
        "size": "width and height",
        "n": "num_samples",
        "num_inference_steps": "steps",
        "guidance_scale": "guidance",
        "strength": "image2image_strength",
        "partial_images": "provide_progress_images",
    },
    "speech": {"input": "text", "response_format": "output_format"},
    "transcription": {"file": "audio"},
    "embedding": {"input": "text"},
}
SAMPLED = {"top_k": "top_k", "top_p": "top_p", "temperature": "temperature", "max_gen_tokens": "max_tokens"}
RANDOM = -1
# No engine takes a seed for what it does not choose by chance.
SEEDED = frozenset({"chat", "completion", "image"})
# Unfinished pictures of each that are drawn, where somebody looks on.
LOOKS = 2
ROLES = frozenset({"system", "user", "assistant"})


def seed_of(endpoint: Endpoint, values: Mapping[str, Any]) -> int:
    """The seed to use: the client's or one made up here; RANDOM where the model takes none. Raises Refusal."""
    seed: int = values.get("seed", RANDOM)
    if endpoint.kind in SEEDED and "seed" in endpoint.served.known(endpoint.model).parameters:
        return secrets.randbelow(2**31) if seed == RANDOM else seed
    if seed != RANDOM:
        raise Refusal(400, ["This model does not support seed."])
    return RANDOM


def prompt_of(values: Mapping[str, Any], kind: Does) -> str | list[str]:
    """The text that was sent, by whichever of its names."""
    names = ("text", "prompt") if kind in ("speech", "embedding") else ("prompt", "prompt_input", "text")
    found: str | list[str] = next((values[name] for name in names if values.get(name)), "")
    return found


def fields_of(endpoint: Endpoint, values: Mapping[str, Any], seed: int, waits: bool) -> dict[str, Any]:
    """OpenAI's fields of what is asked for; `waits`: nobody looks on. Raises Refusal, BadImage or BadAudio."""
    model = endpoint.served.known(endpoint.model)
    prompt = prompt_of(values, endpoint.kind)
    fields: dict[str, Any] = {"model": endpoint.model, "seed": None if seed == RANDOM else seed}
    match endpoint.kind:
        case "chat":
            return fields | _sampling(values, model, endpoint.kind) | {"messages": _messages(values, prompt)}
        case "completion":
            return fields | _sampling(values, model, endpoint.kind) | {"prompt": prompt}
        case "image":
            return fields | _image(values, model, waits)
        case "speech":
            return fields | _speech(values, model, prompt)
        case "transcription":
            language = values.get("language")
            sound = _bytes(values["audio"], "audio", BadAudio)
            return {"model": endpoint.model, "file": sound, "language": language and code_of(language)}
        case "embedding":
            return {"model": endpoint.model, "input": _needed(prompt, "text")}


def _needed(text: Any, name: str) -> Any:
    if not text:
        raise Refusal(400, [f"Missing required argument: {name}"])
    return text


def _sampling(values: Mapping[str, Any], model: Model, kind: Does) -> dict[str, Any]:
    """What was sent, and AIME's defaults. Those are left out for a model that does not know them: clients that came
    with AIME's server write them into every request.
    """
    wanted = {name: values.get(name, INPUTS[kind][name].default) for name in SAMPLED}
    return {
        SAMPLED[name]: value
        for name, value in wanted.items()
        if SAMPLED[name] in model.parameters or value != INPUTS[kind][name].default
    }


def _messages(values: Mapping[str, Any], prompt: Any) -> list[Any]:
    """The conversation, with the prompt as the user's last words."""
    context = values.get("chat_context") or []
    if isinstance(context, str):
        try:
            context = msgspec.json.decode(context)
        except (msgspec.DecodeError, RecursionError):
            raise Refusal(400, ["Input parameter chat_context has invalid json format!"]) from None
    if not isinstance(context, list) or not all(isinstance(message, dict) for message in context):
        raise Refusal(400, ["Input parameter chat_context has invalid chat context format!"])
    messages = [_message(message) for message in context]
    if prompt or not messages:
        messages.append({"role": "user", "content": _needed(prompt, "prompt")})
    return messages


def _message(message: dict[str, Any]) -> dict[str, Any]:
    if not {"role", "content"} <= message.keys():
        wrong = "Input parameter chat_context has an item without the required keys 'role' and 'content'"
        raise Refusal(400, [wrong])
    role, content = message["role"], message["content"]
    if role not in ROLES:
        wrong = "Input parameter chat_context has an item with an invalid value for key 'role'."
        raise Refusal(400, [f"{wrong} Only {', '.join(sorted(ROLES))} are allowed!"])
    return {"role": role, "content": [*map(_part, content)] if isinstance(content, list) else content}


def _part(part: Any) -> Any:
    """A part of a message: AIME's {"text": ...} or {"image": ...}; OpenAI's are taken too."""
    match part:
        case {"text": str(text), **rest} if not rest:
            return {"type": "text", "text": text}
        case {"image": str(url), **rest} if not rest:
            return {"type": "image_url", "image_url": {"url": url}}
        case _:
            return part


def _image(values: Mapping[str, Any], model: Model, waits: bool) -> dict[str, Any]:
    width = values.get("width", values.get("height"))
    height = values.get("height", width)
    shown = values.get("provide_progress_images", "none" if waits or "partial" not in model.parameters else "decoded")
    fields = {
        "prompt": values["prompt"],
        "negative_prompt": values.get("negative_prompt"),
        "size": None if width is None else f"{width}x{height}",
        "num_inference_steps": values.get("steps"),
        "guidance_scale": values.get("guidance"),
        "strength": values.get("image2image_strength"),
        "n": values.get("num_samples"),
        "output_format": values.get("output_format", "jpeg"),
    }
    if shown == "decoded":
        fields |= {"partial_images": LOOKS, "stream": True}
    if values.get("image"):
        fields["image[]"] = [_bytes(values["image"], "image", BadImage)]
    return fields


def _speech(values: Mapping[str, Any], model: Model, prompt: Any) -> dict[str, Any]:
    for name in ("temperature", "top_p", "top_k"):
        if values.get(name, INPUTS["speech"][name].default) != INPUTS["speech"][name].default:
            raise Refusal(400, [f"This model does not support {name}."])
    voice = values.get("voice")
    language = values.get("language")
    if language and voice is None:
        voice = _voice(model, code_of(language))
    return {
        "input": _needed(prompt, "text"),
        "voice": voice,
        "response_format": values.get("output_format", "wav"),
    }


def _voice(model: Model, language: str) -> str | None:
    """The first voice of that language. Raises Refusal where it is known that there is none."""
    spoken = {each.name: each.languages for each in model.voices if each.languages}
    found = next((name for name, languages in spoken.items() if language in languages), None)
    if spoken and found is None:
        known = ", ".join(dict.fromkeys(each for languages in spoken.values() for each in languages))
        raise Refusal(400, [f"Parameter language = {language} not in supported values: {known}"])
    return found


def _bytes(value: str | bytes, name: str, error: type[Refused]) -> bytes:
    """A file, out of a data URI, base64 or a form."""
    if isinstance(value, bytes):
        return value
    head, comma, data = value.partition(",") if value[:5].lower() == "data:" else ("", "", value)
    if comma and not head.lower().endswith(";base64"):
        raise error(f"{name} must be a data URI with base64.", param=name)
    return media.from_base64(data, name, error)
