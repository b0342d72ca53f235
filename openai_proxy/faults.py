"""How a protocol shows an error to its clients, where that is not OpenAI's way."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from openai_proxy.errors import Fault


class Shape(Struct, frozen=True):
    """`render` writes the body, of that media type. `reword` comes first: a protocol may have other statuses."""

    render: Callable[[Fault], bytes]
    media_type: bytes = b"application/json"
    reword: Callable[[Fault], Fault] = lambda fault: fault


def shape_of(render: Shape | Callable[[Fault], bytes]) -> Shape:
    """The same, as JSON and in no other words where only how to write it was told."""
    return render if isinstance(render, Shape) else Shape(render)
