"""What a child that reads a document is told, and tells:

asker    a Task and the document
child    an Answer and what was Parsed as MessagePack
"""

from __future__ import annotations

import struct

from msgspec import Struct

from openai_proxy.documents.parsing.blocks import Block, Fault

# The most pages and characters that it may have, and its size in bytes.
TASK = struct.Struct("<QQQ")
# How many bytes follow.
ANSWER = struct.Struct("<Q")


class Parsed(Struct, array_like=True):
    """A document's text, or the `problem` with it. `pages` is 0 where it has none."""

    media_type: str = ""
    pages: int = 0
    blocks: list[Block] = []
    problem: str = ""
    fault: Fault = "invalid_file"
