"""A wish over passages -> the action that does it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from msgspec import structs

from openai_proxy.documents.actions import Extract, Query, Summarize
from openai_proxy.documents.documents import MOST_PASSAGES, Documents, check_installed
from openai_proxy.documents.passage import Passage
from openai_proxy.documents.shelves import MY, PASSING
from openai_proxy.errors import InvalidRequest, NotInstalled
from openai_proxy.h2ogpt.wish import Wish

SOURCE = "text_context"
FOUND = 10


@cache
def documents_kept() -> bool:
    """Whether this server can keep documents, so that `langchain_mode` means something."""
    try:
        check_installed()
    except NotInstalled:
        return False
    return True


def action_of(wish: Wish) -> Query | Summarize | Extract:
    """What is to be done, in the client's words where it gave some. Raises InvalidRequest for a wish without action."""
    own = {name: value for name, value in structs.asdict(wish.prompts).items() if value is not None}
    match wish.action:
        case "Query":
            return Query(wish.instruction, **own)
        case "Summarize":
            return Summarize(wish.instruction, **own)
        case "Extract":
            return Extract(wish.instruction, **own)
        case None:
            raise InvalidRequest("There is nothing to be done over passages.")


async def passages_of(wish: Wish, documents: Documents, owner: str) -> Sequence[Passage]:
    """The passages it is done over: the client's texts, or of its collections the best for a Query, else the first that
    it wants, or all.

    Raises CollectionNotFound and what else `Documents` raises, and InvalidRequest where there is nothing to be summed
    up or extracted from: a model would make something up.
    """
    if wish.texts:
        return [Passage(text, SOURCE) for text in wish.texts]
    if wish.action == "Query":
        return await documents.search(owner, wish.collections, wish.instruction, wish.limit or FOUND)
    found = await documents.passages(owner, wish.collections, limit=wish.limit or MOST_PASSAGES)
    if not found:
        names = " or ".join(MY if each.startswith(PASSING) else each for each in wish.collections)
        raise InvalidRequest(f"There is nothing in {names:.1000} to {wish.action} yet.", param="langchain_mode")
    return found
