"""The messages of a chat body -> `Message` values."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from backends import Modality, Model
from backends.errors import BadAudio, Unsupported
from backends.requests import Image, Message, Part, Role, Text, ToolCall
from openai_proxy import media
from openai_proxy.bodies import chat_body
from openai_proxy.bodies.chat_body import (
    AssistantMessage,
    AudioPart,
    DeveloperMessage,
    ImagePart,
    ImageUrl,
    InputImagePart,
    RefusalPart,
    SystemMessage,
    TextPart,
    ToolMessage,
    UserMessage,
)
from openai_proxy.bodies.checks import at_most
from openai_proxy.config import Limits
from openai_proxy.errors import InvalidRequest, TooManyItems

# The most that the longer and the shorter side may have. Source:
# https://platform.openai.com/docs/guides/images-vision; the others leave it to the model and its `image_side`.
DETAIL = {"low": (512, None), "high": (2048, 768)}
SPOKEN: dict[type, Role] = {UserMessage: "user", SystemMessage: "system", DeveloperMessage: "system"}


def messages(given: Sequence[chat_body.Message], model: Model, limits: Limits) -> tuple[Message, ...]:
    """The conversation. Raises InvalidRequest, TooManyItems or Refused, each naming the message and part."""
    if not given:
        raise InvalidRequest("messages cannot be empty.", param="messages")
    at_most(given, limits.messages, "messages")
    calls: set[str] = set()
    reader = _Reader(model, limits)
    conversation = tuple([_message(message, index, calls, reader) for index, message in enumerate(given)])
    if sum([len(message.parts) for message in conversation]) > limits.parts:
        parts = sum(len(message.content) for message in given if isinstance(message.content, list))
        if parts > limits.parts:
            raise TooManyItems(f"messages have {parts} parts; at most {limits.parts} are taken.", param="messages")
    return conversation


def _message(given: chat_body.Message, index: int, calls: set[str], reader: _Reader) -> Message:
    content = given.content
    parts: tuple[Part, ...] = (
        (Text(content),) if isinstance(content, str) else reader.parts(content, f"messages.{index}", given)
    )
    kind = type(given)
    if kind in SPOKEN:
        return Message(role=SPOKEN[kind], parts=parts, name=given.name)
    if isinstance(given, AssistantMessage):
        return _assistant(given, parts, f"messages.{index}", calls)
    assert isinstance(given, ToolMessage)
    if given.tool_call_id not in calls:
        param = f"messages.{index}.tool_call_id"
        raise InvalidRequest(f"{param} answers no call of an earlier message.", param=param)
    return Message(role="tool", parts=parts, name=given.name, tool_call_id=given.tool_call_id)


def _assistant(given: AssistantMessage, parts: tuple[Part, ...], path: str, calls: set[str]) -> Message:
    if given.function_call is not None or given.audio is not None:
        field = "audio" if given.audio is not None else "function_call"
        raise Unsupported(f"{path}.{field} is not supported.", param=f"{path}.{field}")
    if given.refusal is not None and not parts:
        parts = (Text(given.refusal),)
    made = tuple(ToolCall(call.id, call.function.name, call.function.arguments) for call in given.tool_calls or ())
    if not parts and not made:
        raise InvalidRequest(f"{path} needs content or tool_calls.", param=f"{path}.content")
    calls.update(call.id for call in made)
    reasoning = given.reasoning_content or given.reasoning or ""
    return Message(role="assistant", parts=parts, name=given.name, tool_calls=made, reasoning=reasoning)


def check_pixels(conversation: Sequence[Message], limits: Limits) -> None:
    """Whether all pictures are in bounds together. Raises TooManyItems."""
    pictures = (part for message in conversation for part in message.parts if isinstance(part, Image))
    _check_pixels(sum(picture.width * picture.height for picture in pictures), limits)


def _check_pixels(pixels: int, limits: Limits) -> None:
    if pixels > limits.chat_pixels:
        most = limits.chat_pixels
        raise TooManyItems(f"The pictures of one chat have at most {most} pixels together.", param="messages")


class _Reader:
    """Reads parts, for one model; `found` counts the pictures and sounds among them, `pixels` those of pictures."""

    def __init__(self, model: Model, limits: Limits) -> None:
        self.modalities = model.modalities
        self.side = model.image_side
        self.limits = limits
        self.found = 0
        self.pixels = 0

    def parts(self, content: list[chat_body.Part] | None, path: str, given: chat_body.Message) -> tuple[Part, ...]:
        """The parts of a message; only a user shows pictures and plays sounds."""
        if content is None:
            return ()
        if not content:
            raise InvalidRequest(f"{path}.content cannot be an empty list.", param=f"{path}.content")
        taken = self.modalities if isinstance(given, UserMessage) else frozenset[Modality]()
        return tuple(self._part(part, f"{path}.content.{index}", taken) for index, part in enumerate(content))

    def _part(self, part: chat_body.Part, path: str, taken: frozenset[Modality]) -> Part:
        match part:
            case TextPart(text=text):
                return Text(text)
            case RefusalPart(refusal=refusal):
                return Text(refusal)
            case ImagePart(image_url=str(url)) if "image" in taken:
                return self._picture(url, None, path)
            case ImagePart(image_url=ImageUrl(url=url, detail=detail)) if "image" in taken:
                return self._picture(url, detail, path)
            case InputImagePart(image_url=url, detail=detail) if "image" in taken:
                return self._picture(url, detail, path)
            case AudioPart(input_audio=sound) if "audio" in taken:
                self._count()
                data = media.from_base64(sound.data, path, BadAudio)
                return media.sound(data, self.limits.audio_part_seconds, path, sound.format)
            case _:
                kind = str(part.__struct_config__.tag)
                whose = "A message of this role" if self.modalities and not taken else "This model"
                raise Unsupported(f"{whose} does not take {kind} parts.", param=path)

    def _picture(self, url: str, detail: str | None, path: str) -> Image:
        self._count()
        if media.is_address(url):
            found = Image(b"", "", 0, 0, url=url)
        else:
            found = self._measured(media.picture(media.from_url(url, path), self.limits, path))
        side, short = DETAIL.get(detail or "", (None, None))
        sides = [each for each in (side, self.side) if each is not None]
        return structs.replace(found, side=min(sides, default=None), short_side=short)

    def _measured(self, picture: Image) -> Image:
        """Pictures of a hundred kilobytes may have a hundred megabytes of pixels."""
        self.pixels += picture.width * picture.height
        _check_pixels(self.pixels, self.limits)
        return picture

    def _count(self) -> None:
        self.found += 1
        if self.found > self.limits.media:
            most = self.limits.media
            raise TooManyItems(f"At most {most} pictures and sounds are taken in one chat.", param="messages")
