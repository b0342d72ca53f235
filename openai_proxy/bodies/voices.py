"""The voices of a model by all of their names.

OpenAI's names are other names of voices that a model really has: its settings say which, else they take turns.
"""

from __future__ import annotations

from collections.abc import Mapping

from backends import Model
from openai_proxy.bodies.speech_body import Manner, SpeechBody, VoiceId
from openai_proxy.errors import InvalidRequest

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
        theirs = body.speaker or body.chatbot_role or ""
        if theirs and (not named or named in OPENAI_VOICES):
            # Voices of h2oGPT's own engines: no other server knows them.
            found = self.find(theirs) if theirs in OPENAI_VOICES else self.meant.get(theirs)
            return found or self.default
        if not named:
            return self.default
        found = self.find(named)
        if found is None and not manner.h2ogpt:
            there = ", ".join(list(dict.fromkeys((*self.real, *self.meant)))[:SHOWN])
            raise InvalidRequest(f"There is no voice {named!r:.100}. This model takes {there}.", param="voice")
        return found or self.default
