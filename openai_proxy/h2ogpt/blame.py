"""What is wrong with a field is told of the key that it came from."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import aclosing, contextmanager

from backends.errors import BackendError
from backends.events import Event
from openai_proxy.errors import EdgeError

# Places in messages are not the client's, whose picture is one text.
MESSAGES = "messages."


@contextmanager
def blamed(names: Mapping[str, str]) -> Generator[None, None, None]:
    """Errors that name one of these fields, or a place in one, name its key, in words too."""
    try:
        yield
    except (EdgeError, BackendError) as error:
        error.message, error.param = told(error.message, error.param, names)
        raise


async def blaming(events: AsyncGenerator[Event], names: Mapping[str, str]) -> AsyncGenerator[Event, None]:
    """The same events; what fails among them is told so."""
    with blamed(names):
        async with aclosing(events):
            async for event in events:
                yield event


def told(message: str, param: str | None, names: Mapping[str, str]) -> tuple[str, str | None]:
    """An error's message and its `param` with the keys for the fields: `names` are keys by fields."""
    if not param or not names:
        return message, param
    fields = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    word = re.compile(rf"(?<![\w.])({fields})((?:\.\w+)*)(?!\w)")

    def key(found: re.Match[str]) -> str:
        return names[found[1]] + ("" if found[1].startswith(MESSAGES) else found[2])

    meant = word.fullmatch(param)
    if meant is None:
        return message, param
    message = word.sub(key, message)
    return message if names[meant[1]] in message else f"{key(meant)}: {message}", key(meant)
