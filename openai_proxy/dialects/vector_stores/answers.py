"""What is told of vector stores, their files, and what was found in them. Times in Unix seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from msgspec import Struct

from openai_proxy.documents.passage import Passage
from openai_proxy.documents.records import Attributes, Collection, Document

STATES: Mapping[str, Literal["in_progress", "completed", "failed"]] = {
    "reading": "in_progress",
    "ready": "completed",
    "failed": "failed",
}


class FileCounts(Struct):
    """How many files there are, by how they stand."""

    in_progress: int
    completed: int
    failed: int
    cancelled: int
    total: int


class StoreEntry(Struct, kw_only=True):
    """A store. `model` makes its vectors, None before its first file; `usage_bytes` counts its texts' characters."""

    id: str
    object: str = "vector_store"
    created_at: int
    name: str
    usage_bytes: int
    file_counts: FileCounts
    status: Literal["in_progress", "completed"]
    expires_after: None = None
    expires_at: None = None
    last_active_at: int
    metadata: Mapping[str, Any]
    model: str | None


class LastError(Struct):
    """Why a file could not be read."""

    code: str
    message: str


class Auto(Struct):
    """How files are cut: as the server does."""

    type: str = "other"


class AttachedFile(Struct, kw_only=True):
    """A file of a store. `usage_bytes` counts its text's characters; `pages` is null where it has none."""

    id: str
    object: str = "vector_store.file"
    created_at: int
    vector_store_id: str
    status: Literal["in_progress", "completed", "failed"]
    last_error: LastError | None
    usage_bytes: int
    attributes: Attributes
    chunking_strategy: Auto
    filename: str
    content_type: str
    pages: int | None
    passages: int


class Content(Struct):
    """A text."""

    text: str
    type: str = "text"


class Found(Struct, kw_only=True):
    """A passage: how well it fits (from 0 to 1), where it is from, and its page where there are pages."""

    file_id: str
    filename: str
    score: float
    attributes: Attributes
    content: list[Content]
    page: int | None


class StorePage(Struct, kw_only=True):
    """Some stores."""

    data: list[StoreEntry]
    object: str = "list"
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None


class FilePage(Struct, kw_only=True):
    """Some files of a store."""

    data: list[AttachedFile]
    object: str = "list"
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None


class FoundPage(Struct, kw_only=True):
    """What was found, best first."""

    search_query: list[str]
    data: list[Found]
    object: str = "vector_store.search_results.page"
    has_more: bool = False
    next_page: None = None


class ContentPage(Struct, kw_only=True):
    """A file's passages, in reading order."""

    data: list[Content]
    object: str = "vector_store.file_content.page"
    has_more: bool = False
    next_page: None = None


class StoreDeleted(Struct, kw_only=True):
    """It is gone."""

    id: str
    object: str = "vector_store.deleted"
    deleted: bool = True


class AttachedFileDeleted(Struct, kw_only=True):
    """It is gone from the store; the file of `/v1/files` is not."""

    id: str
    object: str = "vector_store.file.deleted"
    deleted: bool = True


Entry: TypeAlias = StoreEntry | AttachedFile


def store(collection: Collection) -> StoreEntry:
    counts = FileCounts(
        collection.reading,
        collection.ready,
        collection.failed,
        0,
        collection.reading + collection.ready + collection.failed,
    )
    return StoreEntry(
        id=collection.id,
        created_at=int(collection.created),
        name=collection.name,
        usage_bytes=collection.size,
        file_counts=counts,
        status="in_progress" if collection.reading else "completed",
        last_active_at=int(collection.used),
        metadata=collection.metadata,
        model=collection.model,
    )


def file(document: Document) -> AttachedFile:
    return AttachedFile(
        id=document.id,
        created_at=int(document.created),
        vector_store_id=document.collection,
        status=STATES[document.state],
        last_error=LastError(document.code, document.problem) if document.state == "failed" else None,
        usage_bytes=document.characters,
        attributes=document.attributes,
        chunking_strategy=Auto(),
        filename=document.name,
        content_type=document.media_type,
        pages=document.pages or None,
        passages=document.passages,
    )


def found(passage: Passage, documents: Mapping[str, Document]) -> Found:
    document = documents.get(passage.document)
    return Found(
        file_id=passage.document,
        filename=passage.source,
        score=round(passage.score, 6),
        attributes={} if document is None else document.attributes,
        content=[Content(passage.text)],
        page=passage.page,
    )


def contents(passages: Sequence[Passage]) -> ContentPage:
    return ContentPage(data=[Content(passage.text) for passage in passages])
