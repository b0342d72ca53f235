"""Which voices there are, and which of them a request means; `GET /v1/audio/voices`.

OpenAI's names are other names of voices that a model really has: its settings say which, else they take turns.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import Struct

from backends import Model, Voice
from openai_proxy.bodies.voices import Voices
from openai_proxy.dialects import Edge
from openai_proxy.served import Served
from openai_proxy.wire import Incoming, Reply


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
