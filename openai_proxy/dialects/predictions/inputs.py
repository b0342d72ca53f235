"""A prediction's input -> OpenAI's fields for the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import Struct, field

from backends import Kind, Model
from openai_proxy.decode import locate
from openai_proxy.dialects.predictions.given import (
    INPUTS,
    EmbeddingInput,
    ImageInput,
    SpeechInput,
    TextInput,
    TranscriptionInput,
    kind_of,
)
from openai_proxy.dialects.predictions.sources import Sources
from openai_proxy.errors import InvalidRequest

T = TypeVar("T", bound=Struct)

MOST_TOKENS = 512
DEFAULTS: Mapping[str, float] = {"temperature": 0.7, "top_p": 0.95}
NO_TEMPLATE = "{prompt}"
PLACES = re.compile(r"\{(prompt|system_prompt)\}")
SHOWN = 100


class Translated(Struct):
    """`fields` are OpenAI's for a request of that kind, `names` what the client calls some of them, or a place in one,
    where it has another word; `notes` tell what has no effect.
    """

    kind: Kind
    fields: dict[str, Any]
    names: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def put(self, name: str, value: Any, called: str | None = None) -> None:
        """Set OpenAI's field `name`, which the client has given as `called`."""
        if value is not None:
            self.fields[name] = value
            self.names[name] = called or name


async def translated(values: Mapping[str, Any], model: Model, sources: Sources) -> Translated:
    """What a client's input asks a model for. Raises InvalidRequest and its kin, naming the input."""
    kind = kind_of(model, values)
    if kind is None:
        raise InvalidRequest("This model makes no predictions.", param="version")
    kept = {name: value for name, value in values.items() if value is not None}
    read = INPUTS[kind]
    known = {each.encode_name for each in msgspec.structs.fields(read)}
    asked = Translated(kind, {})
    asked.notes += [f"The input {name:.{SHOWN}} is not known here and has no effect." for name in kept.keys() - known]
    await TRANSLATORS[kind](_converted(kept, read), asked, model, sources)
    return asked


def _converted(values: Mapping[str, Any], read: type[T]) -> T:
    try:
        return msgspec.convert(values, read)
    except msgspec.ValidationError as error:
        raise locate(dict(values), read) or InvalidRequest(str(error)[:SHOWN]) from None


async def _text(given: TextInput, asked: Translated, model: Model, sources: Sources) -> None:
    template = given.prompt_template
    if given.messages is None and given.prompt is None:
        raise InvalidRequest("prompt is required.", param="prompt")
    if given.messages is not None:
        asked.put("messages", given.messages)
        if given.image is not None:
            asked.notes.append("image has no effect beside messages: put it into one of them.")
    elif template is not None and template != NO_TEMPLATE:
        await _templated(given, template, asked, model, sources)
    elif "chat" in model.kinds:
        await _converse(given, given.prompt or "", asked, sources)
    else:
        asked.put("prompt", "\n\n".join(filter(None, (given.system_prompt, given.prompt))))
    asked.kind = "chat" if "messages" in asked.fields else "completion"
    _sampled(given, asked, model)


async def _templated(given: TextInput, template: str, asked: Translated, model: Model, sources: Sources) -> None:
    """The model is shown the text as it is, where it takes such."""
    words = {"prompt": given.prompt or "", "system_prompt": given.system_prompt or ""}
    text = PLACES.sub(lambda place: words[place[1]], template)
    if "completion" in model.kinds and given.image is None:
        asked.put("prompt", text)
        return
    given = msgspec.structs.replace(given, system_prompt=None)
    await _converse(given, text, asked, sources)
    asked.notes.append("This model is asked in a chat, with its own template around that of prompt_template.")


async def _converse(given: TextInput, text: str, asked: Translated, sources: Sources) -> None:
    content: Any = text
    messages: list[dict[str, Any]] = []
    if given.system_prompt:
        messages.append({"role": "system", "content": given.system_prompt})
    if given.image is not None:
        url = await sources.shown(given.image, "image")
        content = [{"type": "image_url", "image_url": {"url": url}}, {"type": "text", "text": text}]
        asked.names[f"messages.{len(messages)}.content.0"] = "image"
    asked.put("messages", [*messages, {"role": "user", "content": content}], "prompt")


def _sampled(given: TextInput, asked: Translated, model: Model) -> None:
    """How tokens are chosen. What changes nothing is left out, so that any model may be asked."""
    asked.put("max_tokens", *_first(given, "max_new_tokens", "max_tokens"))
    asked.put("temperature", given.temperature)
    asked.put("top_p", given.top_p)
    defaults = {**DEFAULTS, "max_tokens": min(MOST_TOKENS, (model.context or 2 * MOST_TOKENS) // 2 or 1)}
    for name in defaults.keys() & model.parameters - asked.fields.keys():
        asked.fields[name] = defaults[name]
    fewest, called = _first(given, "min_new_tokens", "min_tokens")
    if fewest not in (None, 0, -1):
        asked.put("min_tokens", fewest, called)
    if given.top_k not in (0, -1):
        asked.put("top_k", given.top_k)
    elif "top_k" in model.parameters:
        asked.put("top_k", -1)
    if given.repetition_penalty != 1:
        asked.put("repetition_penalty", given.repetition_penalty)
    asked.put("presence_penalty", given.presence_penalty)
    asked.put("frequency_penalty", given.frequency_penalty)
    asked.put("seed", given.seed)
    stops = [given.stop] if isinstance(given.stop, str) else given.stop or []
    stops += [each for each in (given.stop_sequences or "").split(",") if each]
    asked.put("stop", stops or None, "stop" if given.stop else "stop_sequences")


def _first(given: Struct, *names: str) -> tuple[Any, str]:
    """The first of these that is there, and its name."""
    return next(((value, name) for name in names if (value := getattr(given, name)) is not None), (None, names[0]))


async def _image(given: ImageInput, asked: Translated, model: Model, sources: Sources) -> None:
    asked.put("prompt", given.prompt)
    asked.put("negative_prompt", given.negative_prompt or None)
    width, called = _first(given, "width", "height")
    if width is not None:
        asked.put("size", f"{width}x{given.height or width}", called)
    asked.put("n", given.num_outputs, "num_outputs")
    for name in ("num_inference_steps", "guidance_scale", "seed"):
        asked.put(name, getattr(given, name))
    asked.put("output_format", "jpeg" if given.output_format == "jpg" else given.output_format)
    if given.image is not None:
        asked.put("image[]", [await sources.picture(given.image, "image")], "image")
        asked.names["image"] = "image"
        asked.put("strength", given.prompt_strength, "prompt_strength")
        if given.mask is not None:
            asked.put("mask", await sources.picture(given.mask, "mask"))
    elif given.prompt_strength is not None or given.mask is not None:
        asked.notes.append("prompt_strength and mask have no effect without image.")


async def _speech(given: SpeechInput, asked: Translated, model: Model, sources: Sources) -> None:
    text, called = _first(given, "text", "prompt")
    if text is None:
        raise InvalidRequest("text is required.", param="text")
    asked.put("input", text, called)
    asked.put("voice", given.voice)
    asked.put("speed", given.speed)
    asked.put("response_format", given.format, "format")


async def _transcription(given: TranscriptionInput, asked: Translated, model: Model, sources: Sources) -> None:
    url, called = _first(given, "audio", "audio_file")
    if url is None:
        raise InvalidRequest("audio is required.", param="audio")
    asked.put("file", await sources.sound(url, called), called)
    asked.put("language", given.language)
    asked.put("task", given.task)
    if "segment_timestamps" in model.parameters:
        asked.fields["response_format"] = "verbose_json"
        asked.fields["timestamp_granularities[]"] = ["segment"]


async def _embedding(given: EmbeddingInput, asked: Translated, model: Model, sources: Sources) -> None:
    value, called = _first(given, "texts", "text", "prompt")
    if value is None:
        raise InvalidRequest("text is required.", param="text")
    if called == "texts" and isinstance(value, str):
        value = _listed(value)
    asked.put("input", value, called)


def _listed(text: str) -> list[str]:
    try:
        return msgspec.json.decode(text, type=list[str])
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise InvalidRequest("texts must be a list of texts, or JSON of one.", param="texts") from None


Translate: TypeAlias = Callable[[Any, Translated, Model, Sources], Coroutine[Any, Any, None]]
TRANSLATORS: Mapping[Kind, Translate] = {
    "chat": _text,
    "completion": _text,
    "image": _image,
    "speech": _speech,
    "transcription": _transcription,
    "embedding": _embedding,
}
