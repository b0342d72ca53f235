"""Events -> the chunks of a streamed chat. Chunks are constant bytes around the encoded text: the hot path."""

from __future__ import annotations

from typing import Any, assert_never

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
from openai_proxy.dialects.openai.answers import encode, logprobs, tool_piece
from openai_proxy.dialects.openai.chunks import Chunks

ROLE = b'"role":"assistant","content":""'
CONTENT_END = b'},"logprobs":null,"finish_reason":null}'


class ChatFrames(Chunks):
    """Renders the events of one chat. The frames of one event are one piece of bytes, empty when it says nothing."""

    kind = b"chat.completion.chunk"

    def __init__(self, identity: str, created: int, model: str, include_usage: bool) -> None:
        super().__init__(identity, created, model, include_usage)
        self.text_tail = CONTENT_END + self.tail
        self.text_heads: dict[int, bytes] = {}

    def render(self, event: Event) -> bytes:
        if type(event) is Delta:
            return self._delta(event)
        if type(event) is Relayed:
            return self.relay(event)
        match event:
            case Finish():
                return self._opening(event.index) + self._finish(event)
            case Answering():
                return self.move(event)
            case Usage():
                self.usage = event
                return b""
            case Progress() | PromptLogprobs() | Embedding() | Score() | Segment() | Tokens() | Sound() | Picture():
                return b""
            case Delta() | Relayed():
                return b""
            case _:
                assert_never(event)

    def _delta(self, delta: Delta) -> bytes:
        head = self.text_heads.get(delta.index)
        opening = b""
        if head is None:
            opening = self._opening(delta.index)
            head = self.text_heads[delta.index]
        if delta.tool is not None or delta.reasoning or delta.logprobs is not None:
            return opening + self._rare(delta)
        if not delta.text:
            return opening
        return opening + head + encode(delta.text) + self.text_tail

    def _opening(self, index: int) -> bytes:
        """The chunk with the role, once a choice."""
        if index in self.text_heads:
            return b""
        start = self.head + b'{"index":%d,"delta":{' % index
        self.text_heads[index] = start + b'"content":'
        return start + ROLE + self.text_tail

    def _rare(self, delta: Delta) -> bytes:
        inner: dict[str, Any] = {}
        if delta.text:
            inner["content"] = delta.text
        if delta.reasoning:
            inner["reasoning_content"] = inner["reasoning"] = delta.reasoning
        if delta.tool is not None:
            inner["tool_calls"] = [tool_piece(delta.tool)]
        choice = {"index": delta.index, "delta": inner, "logprobs": logprobs(delta.logprobs), "finish_reason": None}
        return self.head + encode(choice) + self.tail

    def _finish(self, finish: Finish) -> bytes:
        choice = {"index": finish.index, "delta": {}, "logprobs": None, "finish_reason": finish.reason}
        return self.head + encode(choice) + self.tail
