"""OpenAI's vector stores: collections of documents that are found again by what they say.

Source: https://platform.openai.com/docs/api-reference/vector-stores, and the `openai` Python SDK, with which it is
tested. MyData, which is a caller's own, and UserData, which all share, are stores too.
"""

from __future__ import annotations

from starlette.routing import Route

from openai_proxy.dialects import Dialect, Edge
from openai_proxy.dialects.vector_stores.answers import (
    AttachedFile,
    AttachedFileDeleted,
    ContentPage,
    FilePage,
    FoundPage,
    StoreDeleted,
    StoreEntry,
    StorePage,
)
from openai_proxy.dialects.vector_stores.bodies import (
    AttachBody,
    AttributesBody,
    FileListQuery,
    ListQuery,
    SearchBody,
    StoreBody,
    StoreChange,
)
from openai_proxy.dialects.vector_stores.files import StoreFiles
from openai_proxy.dialects.vector_stores.stores import Stores
from openai_proxy.jobs.uploads import Uploads
from openai_proxy.openapi import Operation

MANY, ONE = "/v1/vector_stores", "/v1/vector_stores/{id}"
FILES, FILE = f"{ONE}/files", f"{ONE}/files/{{file}}"


def build(edge: Edge) -> Dialect:
    """The routes."""
    files = StoreFiles(edge, Uploads(edge.jobs.files.where, lambda: edge.config))
    stores = Stores(edge, files)
    return Dialect(
        routes=(
            Route(MANY, edge.endpoint(stores.create), methods=["POST"]),
            Route(MANY, edge.endpoint(stores.list), methods=["GET"]),
            Route(ONE, edge.endpoint(stores.one), methods=["GET"]),
            Route(ONE, edge.endpoint(stores.change), methods=["POST"]),
            Route(ONE, edge.endpoint(stores.delete), methods=["DELETE"]),
            Route(f"{ONE}/search", edge.endpoint(stores.search), methods=["POST"]),
            Route(FILES, edge.endpoint(files.attach), methods=["POST"]),
            Route(FILES, edge.endpoint(files.list), methods=["GET"]),
            Route(FILE, edge.endpoint(files.one), methods=["GET"]),
            Route(FILE, edge.endpoint(files.change), methods=["POST"]),
            Route(FILE, edge.endpoint(files.delete), methods=["DELETE"]),
            Route(f"{FILE}/content", edge.endpoint(files.content), methods=["GET"]),
        ),
        operations=(
            Operation("POST", MANY, "Make a vector store", StoreBody, StoreEntry),
            Operation("GET", MANY, "List vector stores", reply=StorePage, query=ListQuery),
            Operation("GET", ONE, "Show a vector store", reply=StoreEntry),
            Operation("POST", ONE, "Rename a vector store", StoreChange, StoreEntry),
            Operation("DELETE", ONE, "Delete a vector store with all that is in it", reply=StoreDeleted),
            Operation("POST", f"{ONE}/search", "Search a vector store", SearchBody, FoundPage),
            Operation("POST", FILES, "Attach a file to a vector store", AttachBody, AttachedFile),
            Operation("GET", FILES, "List the files of a vector store", reply=FilePage, query=FileListQuery),
            Operation("GET", FILE, "Show a file of a vector store", reply=AttachedFile),
            Operation("POST", FILE, "Change the attributes of a file", AttributesBody, AttachedFile),
            Operation("DELETE", FILE, "Take a file out of a vector store", reply=AttachedFileDeleted),
            Operation("GET", f"{FILE}/content", "Show what was read of a file", reply=ContentPage),
        ),
    )
