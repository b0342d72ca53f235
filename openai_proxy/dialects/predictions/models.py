"""Models and their versions; `/v1/models` is for OpenAI's clients and Replicate's in one body.

Source: https://replicate.com/docs/reference/http#models.get. A model has one version, which changes with its weights.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

from openai_proxy.dialects import Edge
from openai_proxy.dialects.predictions.given import schema
from openai_proxy.dialects.predictions.prediction import moment
from openai_proxy.dialects.predictions.references import Reference, reference, references, resolve
from openai_proxy.errors import NotFound
from openai_proxy.listing import ModelEntry, entry
from openai_proxy.wire import Incoming, Reply

# From 0.3.9 on clients look into the schema for what may be read as it grows.
COG = "0.9.0"


class Version(Struct, kw_only=True):
    """What a model takes and gives."""

    id: str
    created_at: str
    cog_version: str = COG
    openapi_schema: dict[str, Any]


class ReplicateModel(Struct, kw_only=True):
    """A model as Replicate's clients know it."""

    url: str
    owner: str
    name: str
    description: str
    latest_version: Version
    visibility: str = "public"
    github_url: None = None
    paper_url: None = None
    license_url: None = None
    cover_image_url: None = None
    default_example: None = None
    run_count: int = 0


class OneModel(ModelEntry, kw_only=True):
    """A model for both."""

    url: str
    owner: str
    name: str
    latest_version: Version
    visibility: str = "public"
    github_url: None = None
    paper_url: None = None
    license_url: None = None
    cover_image_url: None = None
    default_example: None = None
    run_count: int = 0


class ModelsOfBoth(Struct, kw_only=True):
    """All of them: `data` for OpenAI's clients, `results` for Replicate's."""

    data: list[ModelEntry]
    results: list[ReplicateModel]
    object: str = "list"
    has_more: bool = False
    previous: None = None
    next: None = None


class VersionList(Struct, kw_only=True):
    """A model's versions."""

    results: list[Version]
    previous: None = None
    next: None = None


class Models:
    """The handlers. `prefix` is the path below which this protocol is served."""

    def __init__(self, edge: Edge, prefix: str) -> None:
        self.edge = edge
        self.prefix = prefix

    async def all(self, incoming: Incoming) -> Reply:
        router = self.edge.router
        found = [self._model(each, incoming) for each in references(router)]
        data = [entry(id, served) for id, served in router.names]
        return Reply(msgspec.json.encode(ModelsOfBoth(data=data, results=found)))

    async def one(self, incoming: Incoming) -> Reply:
        id: str = incoming.scope["path_params"]["id"]
        found = resolve(self.edge.router, id) or reference(id, self.edge.router.find(id))
        told = msgspec.structs.asdict(self._model(found, incoming)) | msgspec.structs.asdict(
            entry(found.id, found.served)
        )
        return Reply(msgspec.json.encode(OneModel(**told)))

    async def versions(self, incoming: Incoming) -> Reply:
        return Reply(msgspec.json.encode(VersionList(results=[_version(self._of_path(incoming))])))

    async def version(self, incoming: Incoming) -> Reply:
        found = self._of_path(incoming)
        asked: str = incoming.scope["path_params"]["version"]
        if not (found.means(asked) or found.means(f"{found.full}:{asked}")):
            found = self._aliased(found, asked)
        return Reply(msgspec.json.encode(msgspec.structs.replace(_version(found), id=asked)))

    def _aliased(self, found: Reference, version: str) -> Reference:
        """The same model by another name that has this version. Raises NotFound."""
        other = resolve(self.edge.router, f"{found.full}:{version}") or resolve(self.edge.router, version)
        if other is None or other.digest != found.digest:
            raise NotFound("The model has no such version.")
        return other

    def _of_path(self, incoming: Incoming) -> Reference:
        parts = incoming.scope["path_params"]
        found = resolve(self.edge.router, f"{parts['owner']}/{parts['name']}")
        if found is None:
            raise NotFound("There is no such model.")
        return found

    def _model(self, found: Reference, incoming: Incoming) -> ReplicateModel:
        root = incoming.root(self.edge.config.server.public_url) + self.prefix
        return ReplicateModel(
            url=f"{root}/v1/models/{found.full}",
            owner=found.owner,
            name=found.name,
            description=found.served.known(found.id).description,
            latest_version=_version(found),
            # Jobs of a model that was found at an upstream are told apart nowhere.
            run_count=0 if found.served.discovers else self.edge.jobs.number(found.served.name),
        )


def _version(found: Reference) -> Version:
    return Version(
        id=found.version,
        created_at=moment(found.served.created),
        openapi_schema=schema(found.served.known(found.id)),
    )
