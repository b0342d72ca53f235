"""`system_prompt`, `chat_conversation`, `image_file` and the instruction of a Gradio client -> a chat's messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

IMAGE = "image_file"
SYSTEM = ("system", "developer")
# What stands for no system message at all.
NO_SYSTEM = ("", "auto")


class Spoken(Struct, kw_only=True):
    """The keys that make messages; of a pair of `chat_conversation` either may be empty."""

    instruction: str | None = None
    instruction_nochat: str | None = None
    iinput: str | None = None
    iinput_nochat: str | None = None
    system_prompt: str | None = None
    chat_conversation: list[tuple[str | None, str | None]] | None = None
    image_file: str | list[str] | None = None

    @property
    def pictures(self) -> Mapping[str, str]:
        """The pictures' addresses, data URLs or the like, by what a client calls them."""
        if isinstance(self.image_file, str):
            return {IMAGE: self.image_file} if self.image_file else {}
        return {f"{IMAGE}.{number}": each for number, each in enumerate(self.image_file or ()) if each}

    def names(self, messages: Sequence[Any]) -> dict[str, str]:
        """What a client calls the pictures, by their places in these messages."""
        names, place = list(self.pictures), _last_of_user(messages)
        if not names or place is None:
            return {}
        first = len(messages[place]["content"]) - len(names)
        return {f"messages.{place}.content.{number}": name for number, name in enumerate(names, first)}

    def messages(self, given: object) -> list[Any]:
        """All messages: `given` are an OpenAI client's, None from a Gradio client."""
        said = list(given) if isinstance(given, list) else [{"role": "user", "content": self._instruction()}]
        roles = [_role(message) for message in said]
        first = next((place for place, role in enumerate(roles) if role not in SYSTEM), len(said))
        said[first:first] = self._history()
        if (self.system_prompt or "") not in NO_SYSTEM and not any(role in SYSTEM for role in roles):
            said.insert(0, {"role": "system", "content": self.system_prompt})
        return _showing(said, list(self.pictures.values()))

    def _instruction(self) -> str:
        more = self.iinput_nochat or self.iinput
        return "\n".join(filter(None, (self.instruction_nochat or self.instruction, more)))

    def _history(self) -> list[Any]:
        turns: list[Any] = []
        for human, bot in self.chat_conversation or ():
            turns += [{"role": "user", "content": human}] if human else []
            turns += [{"role": "assistant", "content": bot}] if bot else []
        return turns


def last_said(messages: Sequence[Any]) -> str:
    """The words of the user's last message."""
    place = _last_of_user(messages)
    content = None if place is None else messages[place].get("content")
    if isinstance(content, list):
        texts = (part.get("text") for part in content if isinstance(part, Mapping))
        content = "\n".join(text for text in texts if isinstance(text, str))
    return content if isinstance(content, str) else ""


def _showing(messages: list[Any], pictures: Sequence[str]) -> list[Any]:
    """The messages with the pictures in the user's last one."""
    place = _last_of_user(messages)
    if not pictures or place is None:
        return messages
    message = messages[place]
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}] if content else []
    shown = [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
    messages[place] = {**message, "content": [*parts, *shown]}
    return messages


def _last_of_user(messages: Sequence[Any]) -> int | None:
    places = [place for place, message in enumerate(messages) if _role(message) == "user"]
    return places[-1] if places else None


def _role(message: object) -> object:
    """What is no message is told by whoever reads them next."""
    return message.get("role") if isinstance(message, Mapping) else None
