"""`/v1/files`: files for requests to come, for OpenAI's clients (the part `file`) and Replicate's (`content`).

Source: https://platform.openai.com/docs/api-reference/files and https://replicate.com/docs/reference/http#files.create.
A record has the fields of both. `created_at` is a number, which both take.
"""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import parse_qs

import msgspec
from msgspec import Struct

from openai_proxy.dialects import Edge
from openai_proxy.errors import InvalidRequest, NotFound, UnsupportedMediaType
from openai_proxy.forms import Part, boundary_of, label, read_form
from openai_proxy.jobs.uploads import Upload, Uploads
from openai_proxy.wire import JSON, Headers, Incoming, Reply

FORMS = frozenset({"file", "content"})
ANY_KIND = "application/octet-stream"
# Characters of a file's metadata.
METADATA = 4096
# A browser shall take it for nothing: anybody may have written it.
GUARDED: Headers = (
    (b"content-type", ANY_KIND.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"content-disposition", b"attachment"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
)


class ExpiresAfter(Struct, forbid_unknown_fields=True):
    """When OpenAI's clients want a file to be forgotten; it is, at the latest, as the settings say."""

    anchor: str
    seconds: int


class FileForm(Struct, kw_only=True):
    """`file` and `purpose`, or `content`, `filename`, `type` and `metadata`, which is JSON."""

    file: bytes | None = None
    purpose: str | None = None
    expires_after: ExpiresAfter | None = None
    content: bytes | None = None
    filename: str | None = None
    type: str | None = None
    metadata: str | None = None


class FileUrls(Struct):
    """Where it is to be had; an input may name it so."""

    get: str


class FileEntry(Struct, kw_only=True):
    """A file. Sizes in bytes, times in Unix seconds."""

    id: str
    object: str = "file"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: str = "processed"
    name: str
    content_type: str
    size: int
    etag: str
    checksums: dict[str, str]
    metadata: dict[str, Any]
    urls: FileUrls


class FileList(Struct, kw_only=True):
    """An owner's files, the newest first."""

    data: list[FileEntry]
    results: list[FileEntry]
    object: str = "list"
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None
    previous: None = None
    next: None = None


class FileDeleted(Struct, kw_only=True):
    """It is gone."""

    id: str
    object: str = "file"
    deleted: bool = True


class FileRoutes:
    """The handlers. `prefix` is the path below which this protocol is served."""

    def __init__(self, edge: Edge, uploads: Uploads, prefix: str) -> None:
        self.edge = edge
        self.uploads = uploads
        self.prefix = prefix

    async def create(self, incoming: Incoming) -> Reply:
        """200 for OpenAI's clients, 201 for Replicate's."""
        boundary = boundary_of(incoming.content_type)
        if boundary is None:
            raise UnsupportedMediaType("Content-Type must be multipart/form-data with a boundary.")
        parts: list[Part] = []
        limits = self.edge.config.limits
        form, _ = await asyncio.to_thread(read_form, incoming.body, boundary, FileForm, limits, parts.append)
        data = form.content if form.file is None else form.file
        if data is None or (form.file is not None and form.content is not None):
            raise InvalidRequest("A form has one file, in its part file or content.", param="file")
        if form.file is not None and form.purpose is None:
            raise InvalidRequest("purpose is required.", param="purpose")
        part = next(each for each in parts if each.name in FORMS)
        kind = form.type or part.headers.get("content-type", b"").decode("latin-1") or ANY_KIND
        upload = await self.uploads.put(
            data,
            owner=incoming.caller.name,
            name=label(form.filename or "") or part.file or "file",
            media_type=kind[:100],
            purpose=form.purpose if form.file is not None else None,
            metadata=_metadata(form.metadata),
            seconds=None if form.expires_after is None else form.expires_after.seconds,
        )
        return self._reply(upload, incoming, 201 if upload.purpose is None else 200)

    async def list(self, incoming: Incoming) -> Reply:
        asked = parse_qs(incoming.scope["query_string"].decode("latin-1"))
        found = [self._entry(each, incoming) for each in await self.uploads.of(incoming.caller.name)]
        if purpose := asked.get("purpose"):
            found = [each for each in found if each.purpose == purpose[0]]
        told = FileList(data=found, results=found)
        if found:
            told.first_id, told.last_id = found[0].id, found[-1].id
        return Reply(msgspec.json.encode(told))

    async def one(self, incoming: Incoming) -> Reply:
        return self._reply(await self._found(incoming), incoming, 200)

    async def content(self, incoming: Incoming) -> Reply:
        """The bytes."""
        id: str = incoming.scope["path_params"]["id"]
        data = await self.uploads.read(id, incoming.caller.name)
        if data is None:
            raise _gone()
        return Reply(data, headers=GUARDED)

    async def delete(self, incoming: Incoming) -> Reply:
        """OpenAI's clients are told what is gone, Replicate's nothing, each of the files that they handed in."""
        upload = await self._found(incoming)
        await self.uploads.delete(upload.id, upload.owner)
        if upload.purpose is None:
            return Reply(b"", 204, ())
        return Reply(msgspec.json.encode(FileDeleted(id=upload.id)))

    async def _found(self, incoming: Incoming) -> Upload:
        found = await self.uploads.find(incoming.scope["path_params"]["id"], incoming.caller.name)
        if found is None:
            raise _gone()
        return found

    def _reply(self, upload: Upload, incoming: Incoming, status: int) -> Reply:
        return Reply(msgspec.json.encode(self._entry(upload, incoming)), status, JSON)

    def _entry(self, upload: Upload, incoming: Incoming) -> FileEntry:
        root = incoming.root(self.edge.config.server.public_url) + self.prefix
        return FileEntry(
            id=upload.id,
            bytes=upload.size,
            created_at=int(upload.created),
            expires_at=int(upload.expires),
            filename=upload.name,
            purpose=upload.purpose or "user_data",
            name=upload.name,
            content_type=upload.media_type,
            size=upload.size,
            etag=upload.sha256,
            checksums={"sha256": upload.sha256},
            metadata=dict(upload.metadata),
            urls=FileUrls(f"{root}/v1/files/{upload.id}"),
        )


def _gone() -> NotFound:
    return NotFound("There is no such file, or it has expired.")


def _metadata(text: str | None) -> dict[str, Any]:
    """Raises InvalidRequest."""
    if text is not None and len(text) > METADATA:
        raise InvalidRequest(f"metadata has at most {METADATA} characters.", param="metadata")
    try:
        return {} if text is None else msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise InvalidRequest("metadata must be JSON of an object.", param="metadata") from error
