"""Which voices there are, and which of them a request means; `GET /v1/audio/voices`.

OpenAI's names are other names of voices that a model really has: its settings say which, else they take turns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec
from msgspec import Struct

from backends import Model, Voice
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.speech_body import Manner, SpeechBody, VoiceId
from openai_proxy.errors import InvalidRequest
from openai_proxy.served import Served
from openai_proxy.wire import Incoming, Reply

# https://platform.openai.com/docs/guides/text-to-speech#voice-options
OPENAI_VOICES = (
    *("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse"),
    *("marin", "cedar"),
)
DEFAULT = "default"
SHOWN = 60


class Voices:
    """The voices of a model by all of their names. `real` is empty where nobody knows what the model has."""

    def __init__(self, model: Model, configured: Mapping[str, str]) -> None:
        self.real = {voice.name: voice for voice in model.voices}
        own = list(self.real)
        turns = {name: own[place % len(own)] for place, name in enumerate(OPENAI_VOICES)} if own else {}
        meant = {**turns, **{name: name for name in own}, **configured}
        self.meant = {name: voice for name, voice in meant.items() if not own or voice in self.real}
        self.default = self.meant.pop(DEFAULT, None) or (own[0] if own else None)

    def find(self, name: str) -> str | None:
        """The model's own name for it; any name where nobody knows them."""
        return self.meant.get(name, None if self.real else name)

    def of(self, body: SpeechBody, manner: Manner) -> str | None:
        """The voice that a body means; None leaves it to the model. Raises InvalidRequest.

        A voice of this model's own comes first, then h2oGPT's fields, then OpenAI's names. A client of h2oGPT's does
        not know this server's voices, and gets the default where it names another one.
        """
        named = (body.voice.id if isinstance(body.voice, VoiceId) else body.voice) or ""
        asked = named if named not in OPENAI_VOICES else ""
        asked = asked or body.speaker or body.chatbot_role or named
        if not asked:
            return self.default
        found = self.find(asked)
        if found is None and not manner.h2ogpt:
            there = ", ".join(list(dict.fromkeys((*self.real, *self.meant)))[:SHOWN])
            raise InvalidRequest(f"There is no voice {asked!r:.100}. This model takes {there}.", param="voice")
        return found or self.default


class VoiceEntry(Struct):
    """A voice of a model; `aliases` are its other names, `default`: requests that name none get it."""

    id: str
    model: str
    aliases: list[str]
    languages: list[str]
    description: str
    default: bool
    object: str = "voice"


class VoiceList(Struct):
    """All of them; `voices` are their names alone, as other servers list them."""

    data: list[VoiceEntry]
    voices: list[str]
    object: str = "list"
    has_more: bool = False


class ListVoices:
    """Lists the voices of all models that speak."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, incoming: Incoming) -> Reply:
        entries = list(self._entries())
        return Reply(msgspec.json.encode(VoiceList(entries, list(dict.fromkeys(entry.id for entry in entries)))))

    def _entries(self) -> Iterator[VoiceEntry]:
        for name, served in self.edge.router.names:
            model = served.known(name)
            if "speech" in model.kinds and model.certain and (served.discovers or name == served.name):
                yield from entries_of(name, served, model)


def entries_of(name: str, served: Served, model: Model) -> Iterator[VoiceEntry]:
    """The voices of one model; of one behind another server those that the settings name."""
    voices = Voices(model, served.config.voices)
    named = [voice for voice in (voices.default, *voices.meant.values()) if voice]
    known = voices.real or {voice: Voice(voice) for voice in named}
    for voice in known.values():
        others = [alias for alias, meant in voices.meant.items() if meant == voice.name != alias]
        default = voice.name == voices.default
        yield VoiceEntry(voice.name, name, others, list(voice.languages), voice.description, default)
