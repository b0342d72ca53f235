"""The section `[documents]` of the configuration, beside the others in `config`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from openai_proxy.settings.kinds import Count


class DocumentSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Documents that are searched and asked about. Counts and totals are those of one key."""

    home: Annotated[str | None, Meta(description="folder of the database; the user's data folder if absent")] = None
    model: Annotated[
        str | None, Meta(description="the model that makes vectors of new collections; absent: the first that does")
    ] = None
    shared: Annotated[Literal["all", "admins"], Meta(description="who may add to UserData, which all can search")] = (
        "all"
    )
    collections: Annotated[Count, Meta(description="collections")] = 100
    count: Annotated[Count, Meta(description="documents")] = 1000
    total_bytes: Annotated[Count, Meta(description="documents as they were handed in, all together")] = 500_000_000
    total_characters: Annotated[Count, Meta(description="texts of documents, all together")] = 50_000_000
    document_bytes: Annotated[Count, Meta(description="one document as it is handed in")] = 25_000_000
    characters: Annotated[Count, Meta(description="characters of one document's text")] = 5_000_000
    pages: Annotated[Count, Meta(description="pages of one PDF")] = 2000
    chunk: Annotated[
        int, Meta(ge=16, le=8192, description="tokens of a passage; never more than the model takes that makes vectors")
    ] = 256
    waiting_bytes: Annotated[
        Count,
        Meta(description="documents that wait to be read, in each worker; a key may have half of what others leave"),
    ] = 250_000_000
    at_once: Annotated[Count, Meta(description="documents that are read at once, in each worker")] = 1
