"""Events -> the chunks of a streamed legacy completion."""

from __future__ import annotations

from typing import assert_never

from backends.events import (
    Answering,
    Delta,
    Embedding,
    Event,
    Finish,
    Picture,
    Progress,
    PromptLogprobs,
    Relayed,
    Score,
    Segment,
    Sound,
    Tokens,
    Usage,
)
from openai_proxy.dialects.openai.answers import encode, legacy_logprobs, text_length
from openai_proxy.dialects.openai.chunks import Chunks


class CompletionFrames(Chunks):
    """Renders the events of one completion. `finish_reason` is null until a choice ends, as OpenAI sends it."""

    kind = b"text_completion"

    def __init__(self, identity: str, created: int, model: str, include_usage: bool) -> None:
        super().__init__(identity, created, model, include_usage)
        self.offsets: dict[int, int] = {}

    def render(self, event: Event) -> bytes:
        match event:
            case Delta():
                return self._delta(event)
            case Relayed():
                return self.relay(event)
            case Finish(index=index, reason=reason):
                choice = b'{"index":%d,"text":"","logprobs":null,"finish_reason":"%s"}' % (index, reason.encode())
                return self.head + choice + self.tail
            case Answering():
                return self.move(event)
            case Usage():
                self.usage = event
                return b""
            case Progress() | PromptLogprobs() | Embedding() | Score() | Segment() | Tokens() | Sound() | Picture():
                return b""
            case _:
                assert_never(event)

    def _delta(self, delta: Delta) -> bytes:
        if delta.logprobs is None:
            logprobs = b"null"
        else:
            offset = self.offsets.get(delta.index, 0)
            logprobs = encode(legacy_logprobs(delta.logprobs, offset))
            self.offsets[delta.index] = offset + text_length(delta.logprobs)
        start = b'{"index":%d,"text":' % delta.index
        return (
            self.head + start + encode(delta.text) + b',"logprobs":' + logprobs + b',"finish_reason":null}' + self.tail
        )
