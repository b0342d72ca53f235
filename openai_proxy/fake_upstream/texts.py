"""What chats and completions share: the text, what it costs, and whether a stream shall tell that."""

from __future__ import annotations

import functools

from msgspec import Struct

from openai_proxy.fake_upstream.script import Script

# A token for so many bytes of the JSON of what was asked, and one for each chunk of an answer.
BYTES_A_TOKEN = 4


class StreamOptions(Struct):
    include_usage: bool = False


class TextUsage(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


def tokens(asked: bytes) -> int:
    return -(-len(asked) // BYTES_A_TOKEN)


def usage(prompt: int, completion: int) -> TextUsage:
    return TextUsage(prompt, completion, prompt + completion)


def wants_usage(options: StreamOptions | None) -> bool:
    return options is not None and options.include_usage


def whole_text(script: Script) -> str:
    return script.text if script.text is not None else _joined(script.chunks, script.size)


@functools.lru_cache(maxsize=4)
def _joined(chunks: int, size: int) -> str:
    script = Script(chunks=chunks, size=size)
    return "".join(map(script.piece, range(chunks)))
