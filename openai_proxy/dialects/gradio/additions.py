"""`/add_url` and `/add_text`: documents for a session, or for the collection that `langchain_mode` names.

Source: https://github.com/h2oai/h2ogpt (gradio_utils/grclient.py, src/gradio_runner.py). Of a client that asks about an
address, each call is a session of its own, and its MyData nobody else's: so what it hands in there lasts as long as it
is asked about, and is not among what a later call asks about.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from openai_proxy.dialects import Edge
from openai_proxy.dialects.gradio.events import Event
from openai_proxy.dialects.gradio.literals import read
from openai_proxy.documents.shelves import MY, passing
from openai_proxy.errors import InvalidRequest
from openai_proxy.fetching.address import file_name
from openai_proxy.h2ogpt.over import NO_COLLECTION

# What a text is called that has no name; addresses that one call may name.
PASTED, MOST = "user_paste.txt", 20


class Additions:
    """Each answers with nothing, the collection, what was added, no exception, and the names."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def urls(self, event: Event) -> str:
        """What lies at an address, or at each of a list. Raises UrlNotAllowed and what else `Documents.add` raises."""
        addresses, fetcher = several(event.given["url"], "url"), self.edge.fetcher
        sources = [fetcher.read(each, "url") for each in addresses]
        event.starts()
        for address, source in zip(addresses, sources, strict=True):
            data = await fetcher.fetch(source, "url", lambda _: True, owner=event.caller.name)
            await self._add(event, file_name(address), data)
        return self._done(event, addresses, [file_name(each) for each in addresses])

    async def texts(self, event: Event) -> str:
        """A text, or each of a list. Raises what `Documents.add` raises."""
        texts = several(event.given["text"], "text")
        event.starts()
        for text in texts:
            await self._add(event, PASTED, text.encode())
        return self._done(event, [PASTED], [PASTED])

    async def _add(self, event: Event, name: str, data: bytes) -> None:
        caller = event.caller
        admin = "admin" in caller.scopes
        await self.edge.documents.add(caller.name, collection_of(event), name, data, admin=admin)

    def _done(self, event: Event, sources: Sequence[str], names: Sequence[str]) -> str:
        mode = event.given["langchain_mode"] or MY
        event.values = (None, mode, "\n".join(sources), "", "\n".join(names))
        return ""


def collection_of(event: Event) -> str:
    """Where a call's documents go. Raises InvalidRequest for a mode without documents."""
    mode = event.given["langchain_mode"] or MY
    if not isinstance(mode, str) or mode in NO_COLLECTION:
        message = "langchain_mode must name a collection: MyData, UserData or another."
        raise InvalidRequest(message, param="langchain_mode")
    return passing(event.session) if mode == MY and event.session else mode


def several(given: Any, param: str) -> list[str]:
    """A text, or the texts of a list, which may come as a text itself. Raises InvalidRequest."""
    if isinstance(given, str) and given.lstrip().startswith("["):
        with suppress(InvalidRequest):  # a text that begins so
            given = read(given)
    found = [given] if isinstance(given, str) else given
    wrong = not isinstance(found, list) or not all(isinstance(each, str) and each.strip() for each in found)
    if wrong or not 1 <= len(found) <= MOST:
        raise InvalidRequest(f"{param} must be a text, or a list of 1 to {MOST}.", param=param)
    return list(found)
