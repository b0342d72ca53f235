"""What clients ask of vector stores.

Source: https://platform.openai.com/docs/api-reference/vector-stores, as the `openai` Python SDK types it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from openai_proxy.bodies.fields import Label, Metadata
from openai_proxy.documents.finding import LONGEST_QUERY

Name = Annotated[str, Meta(max_length=256)]
FileId = Annotated[str, Meta(min_length=1, max_length=100)]
Key = Annotated[str, Meta(max_length=64)]
Value: TypeAlias = bool | float | Label
FileAttributes = Annotated[dict[Key, Value], Meta(max_length=16)]
Query = Annotated[str, Meta(max_length=LONGEST_QUERY)]
StoreMetadata = Annotated[Metadata, Meta(max_length=16)]
# As many as OpenAI takes.
ATTACHED = 500


class AutoChunking(Struct, forbid_unknown_fields=True):
    """How files are cut: as the server does."""

    type: Literal["auto"]


class StoreBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/vector_stores`."""

    name: Name | None = None
    file_ids: Annotated[list[FileId], Meta(max_length=ATTACHED)] | None = None
    metadata: StoreMetadata | None = None
    chunking_strategy: AutoChunking | None = None


class StoreChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/vector_stores/{id}`."""

    name: Name | None = None
    metadata: StoreMetadata | None = None


class AttachBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/vector_stores/{id}/files`: a file of `/v1/files`, or what lies at a `url`, if that is fetched."""

    file_id: FileId | None = None
    url: str | None = None
    attributes: FileAttributes | None = None
    chunking_strategy: AutoChunking | None = None


class AttributesBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/vector_stores/{id}/files/{file}`."""

    attributes: FileAttributes


class RankingOptions(Struct, kw_only=True, forbid_unknown_fields=True):
    """`ranker` "none": by vectors alone; what fits less than `score_threshold` is left out."""

    ranker: Literal["none", "auto", "default-2024-11-15"] | None = None
    score_threshold: Annotated[float, Meta(ge=0, le=1)] | None = None


class SearchBody(Struct, kw_only=True, forbid_unknown_fields=True):
    """`POST /v1/vector_stores/{id}/search`."""

    query: Query | Annotated[list[Query], Meta(min_length=1, max_length=16)]
    filters: dict[str, Any] | None = None
    max_num_results: Annotated[int, Meta(ge=1, le=50)] | None = None
    ranking_options: RankingOptions | None = None
    rewrite_query: Literal[False] | None = None


class ListQuery(Struct, kw_only=True):
    """Parameters of a list: the entries after that id, or before it, in the order of when they were made."""

    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


class FileListQuery(ListQuery, kw_only=True):
    """And only those in that state."""

    filter: Literal["in_progress", "completed", "failed", "cancelled"] | None = None
