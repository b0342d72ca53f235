"""`GET /version`, `GET /v1/internal/model/info` and `GET /v1/internal/model/list`, as h2oGPT's server has them.

Source: https://github.com/h2oai/h2ogpt, openai_server/server.py.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct

from openai_proxy import __version__
from openai_proxy.bodies.checks import model_of_kind
from openai_proxy.dialects import Edge
from openai_proxy.wire import Incoming, Reply


class ServerVersion(Struct):
    """This server's version."""

    version: str


class ModelInfo(Struct):
    """The model that answers chats which name none."""

    model_name: str


class ModelNames(Struct):
    """The names of all models, without other names of the same."""

    model_names: list[str]


class Internal:
    """The handlers."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def version(self, incoming: Incoming) -> Reply:
        return Reply(msgspec.json.encode(ServerVersion(__version__)))

    async def info(self, incoming: Incoming) -> Reply:
        """Raises InvalidRequest or Unsupported where no model chats."""
        _, name = model_of_kind(self.edge.router, None, "chat", self.edge.config.limits)
        return Reply(msgspec.json.encode(ModelInfo(name)))

    async def names(self, incoming: Incoming) -> Reply:
        names = [name for name, served in self.edge.router.names if name not in served.config.aliases]
        return Reply(msgspec.json.encode(ModelNames(names)))
