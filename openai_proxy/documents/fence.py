"""Texts between fences that they cannot close: what documents say is data, and stays where it is put."""

from __future__ import annotations

import re
from collections.abc import Iterable

FENCE = '"""'
QUOTES = re.compile('"{3,}')
# What templates of models mark turns and roles with. A tokenizer would take it for the marks themselves.
MARKS = re.compile(
    r"<(?=[|｜])|(?<=[|｜])>"
    r"|<(?=/?(?:s|bos|eos|pad|unk|sep|start_of_turn|end_of_turn|start_of_image|begin_of_text|end_of_text|"
    r"im_start|im_end|think|tool_call|tool_response|tools|function_calls|extra_id_\d+)>)"
    r"|<(?=<SYS>>|</SYS>>)"
    r"|\[(?=/?(?:INST|SYSTEM_PROMPT|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS)\])",
    re.IGNORECASE,
)
HARMLESS = {"<": "‹", ">": "›", "[": "("}


def fenced(before: str, texts: Iterable[str], after: str) -> str:
    """The texts between triple quotes, with what stands before and after them."""
    inside = "\n\n".join(map(harmless, texts))
    return f"{before}\n{FENCE}\n{inside}\n{FENCE}\n{after}".lstrip("\n")


def harmless(text: str) -> str:
    """A text without quotes that would end it, and without marks that would begin another message."""
    text = QUOTES.sub(lambda quotes: "'" * len(quotes[0]), text)
    return MARKS.sub(lambda mark: HARMLESS[mark[0]], text)
