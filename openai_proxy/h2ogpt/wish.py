"""What a request of an h2oGPT client asks for, once its keys are read: see `reading.read`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from msgspec import Struct

# Characters of a header: clients take no endless ones.
LONGEST = 4000

Action: TypeAlias = Literal["Query", "Summarize", "Extract"]


class Prompts(Struct, frozen=True, kw_only=True):
    """The words around passages that a client wants instead of ours. None: ours; "" is none at all."""

    before: str | None = None
    after: str | None = None


class Wish(Struct, frozen=True, kw_only=True):
    """`fields` are for `edge.asking(kind, fields)`: without an `action` they are all there is to do.

    With one, it is done over `texts` (the client's own passages) or, where it gave none, over what its `collections`
    hold: `instruction`, the last that the user says in `fields` too, is the question of a Query or the focus of the
    others ("" without). `limit` is how many passages of collections it is about, None for our own number. `ignored` are
    the names of keys that have no effect here, sorted; `header` says them to an HTTP client. `names` are h2oGPT's keys
    by the fields that stand for them now: an error that names such a field means the key.
    """

    fields: Mapping[str, Any]
    action: Action | None = None
    instruction: str = ""
    texts: Sequence[str] = ()
    collections: Sequence[str] = ()
    limit: int | None = None
    prompts: Prompts = Prompts()
    ignored: Sequence[str] = ()
    names: Mapping[str, str] = {}

    @property
    def header(self) -> bytes:
        """The value of `X-H2OGPT-Ignored`; empty where nothing was ignored."""
        names = ",".join(self.ignored)
        return (names if len(names) <= LONGEST else names[:LONGEST].rpartition(",")[0]).encode()
