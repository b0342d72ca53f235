"""What is done for each API name: an event -> its last output. Each raises InvalidRequest and its kin, or JobFailed."""

from __future__ import annotations

import secrets
from array import array
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from backends.events import Outcome
from backends.requests import TokenizeRequest
from openai_proxy.bodies.checks import at_most_characters, model_of_kind
from openai_proxy.dialects import Edge
from openai_proxy.dialects.gradio.additions import Additions
from openai_proxy.dialects.gradio.chat import Chats
from openai_proxy.dialects.gradio.events import Event
from openai_proxy.dialects.gradio.jobs import last
from openai_proxy.dialects.gradio.literals import read
from openai_proxy.dialects.gradio.models import chatting, described
from openai_proxy.dialects.gradio.sounds import Sounds
from openai_proxy.errors import InvalidRequest
from openai_proxy.h2ogpt.blame import blamed
from openai_proxy.h2ogpt.truth import truth

Work: TypeAlias = Callable[[Event], Awaitable[str]]
FALSE = (False, None, "", "False", "false", "None")
DIGITS = 20


class Works:
    """By API name; those that are `open` tell nothing about this server, and are for everybody."""

    open = frozenset({"system_hash", "num_model_lock"})
    # The one argument of these is a text that holds a dict.
    dicts = frozenset({"submit_nochat_api", "submit_nochat_plain_api", "speak_text_plain_api"})

    def __init__(self, edge: Edge) -> None:
        self.edge = edge
        self._hash = secrets.token_hex(DIGITS)
        chats, sounds, additions = Chats(edge), Sounds(edge), Additions(edge)
        self.named: Mapping[str, Work] = {
            "submit_nochat_api": chats,
            "submit_nochat_plain_api": chats,
            "model_names": self.models,
            "system_hash": self.hash,
            "num_model_lock": self.count,
            "speak_text_api": sounds.speak,
            "speak_text_plain_api": sounds.speak,
            "transcribe_audio_api": sounds.transcribe,
            "embed_api": self.embed,
            "count_tokens": self.tokens,
            "add_url": additions.urls,
            "add_text": additions.texts,
        }

    async def models(self, event: Event) -> str:
        """All that answer chats."""
        return repr([described(name, served) for name, served in chatting(self.edge)])

    async def hash(self, event: Event) -> str:
        """The same as long as this process lives: clients then know that what they were told before still holds."""
        return self._hash

    async def count(self, event: Event) -> str:
        """How many lists of models there are."""
        return "1"

    async def embed(self, event: Event) -> str:
        """Vectors of a text, or of each of a list."""
        text, is_list = event.given["text"], truth(event.given["is_list"], "is_list")
        texts: Any = [text] if not is_list else read(text) if isinstance(text, str) else text
        with blamed({"input": "text"}):
            asked = await self.edge.asking("embedding", {"input": texts}, event.caller.name)
        result = await last(self.edge, event, asked)
        return repr([array("f", vector).tolist() for vector in result.vectors])

    async def tokens(self, event: Event) -> str:
        """How many tokens a text has. No job: nothing is generated."""
        text, model = event.given["text"], event.given["model"]
        if not isinstance(text, str) or not isinstance(model, str):
            raise InvalidRequest("text and model must be texts.", param="text")
        limits = self.edge.config.limits
        at_most_characters(text, limits.tokenize, "text")
        _, name = model_of_kind(self.edge.router, model or None, "tokenize", limits)
        event.starts()
        found = await Outcome.of(self.edge.router.run(TokenizeRequest(model=name, prompt=text)))
        return str(0 if found.tokens is None else len(found.tokens.ids))
