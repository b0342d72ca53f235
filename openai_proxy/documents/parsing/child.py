"""What a child does that reads a document. It has what reads them loaded; the server has not."""

from __future__ import annotations

import socket
from typing import BinaryIO

import msgspec

from backends.apart.nursery import limit
from openai_proxy.documents.parsing.blocks import Gathering, Unreadable
from openai_proxy.documents.parsing.kind import MEDIA_TYPES, kind_of
from openai_proxy.documents.parsing.markup import read_markdown
from openai_proxy.documents.parsing.messages import ANSWER, TASK, Parsed
from openai_proxy.documents.parsing.pdf import read_pdf
from openai_proxy.documents.parsing.plain import read_text
from openai_proxy.documents.parsing.web import read_html

# Three times what the largest that people write take: 25 MB of HTML as word processors have it.
PROCESSOR_SECONDS = 15
# What a file may unpack to, and be unpacked with.
MEMORY = 400 << 20


def warm() -> None:
    """All is imported."""


def serve(heard: BinaryIO, asker: socket.socket) -> None:
    pages, characters, size = TASK.unpack(heard.read(TASK.size))
    limit(PROCESSOR_SECONDS, size, MEMORY)
    data = heard.read(size)
    try:
        read = parsed(data, pages, characters)
    except Unreadable as error:
        read = Parsed(problem=str(error), fault=error.fault)
    answer = msgspec.msgpack.encode(read)
    asker.sendall(ANSWER.pack(len(answer)))
    asker.sendall(answer)


def parsed(data: bytes, most_pages: int, most_characters: int) -> Parsed:
    """Raises Unreadable, and what reading hostile bytes may raise."""
    kind, text = kind_of(data)
    into, pages = Gathering(most_characters), 0
    match kind:
        case "pdf":
            pages = read_pdf(data, most_pages, into)
        case "html":
            read_html(text, into)
        case "markdown":
            read_markdown(text, into)
        case "text":
            read_text(text, into)
    if not into.blocks:
        raise Unreadable("The document has no text.")
    return Parsed(MEDIA_TYPES[kind], max(pages, max(block.page for block in into.blocks)), into.blocks)
