"""Events -> the chunks of a streamed legacy completion."""

from __future__ import annotations

from typing import assert_never

import msgspec

from backends.events import Delta, Embedding, Event, Finish, Progress, Usage
from openai_proxy.dialects.openai.answers import legacy_logprobs, usage
from openai_proxy.wire import DONE

encode = msgspec.json.Encoder().encode


class CompletionFrames:
    """Renders the events of one completion. `finish_reason` is null until a choice ends, as OpenAI sends it."""

    def __init__(self, identity: str, created: int, model: str, include_usage: bool) -> None:
        self.include_usage = include_usage
        self.head = b'data: {"id":%s,"object":"text_completion","created":%d,"model":%s,"choices":[' % (
            encode(identity),
            created,
            encode(model),
        )
        self.tail = b'],"usage":null}\n\n' if include_usage else b"]}\n\n"
        self.offsets: dict[int, int] = {}
        self.usage = Usage()

    def render(self, event: Event) -> bytes:
        match event:
            case Delta():
                return self._delta(event)
            case Finish(index=index, reason=reason):
                return (
                    self.head
                    + b'{"index":%d,"text":"","logprobs":null,"finish_reason":"%s"}'
                    % (
                        index,
                        reason.encode(),
                    )
                    + self.tail
                )
            case Usage():
                self.usage = event
                return b""
            case Progress() | Embedding():
                return b""
            case _:
                assert_never(event)

    def end(self) -> bytes:
        """The last piece: usage if it was asked for, and the end mark."""
        if not self.include_usage:
            return DONE
        head = self.head.removesuffix(b"[")
        return head + b'[],"usage":' + encode(usage(self.usage)) + b"}\n\n" + DONE

    def _delta(self, delta: Delta) -> bytes:
        if delta.logprobs is None:
            logprobs = b"null"
        else:
            offset = self.offsets.get(delta.index, 0)
            logprobs = encode(legacy_logprobs(delta.logprobs, offset))
            self.offsets[delta.index] = offset + sum(len(entry.token) for entry in delta.logprobs)
        start = b'{"index":%d,"text":' % delta.index
        return (
            self.head + start + encode(delta.text) + b',"logprobs":' + logprobs + b',"finish_reason":null}' + self.tail
        )
