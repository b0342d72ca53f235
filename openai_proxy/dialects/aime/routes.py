"""Routes of endpoints: they take what other protocols leave, and only where there is an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from starlette.routing import Match, Route
from starlette.types import ASGIApp, Scope

from openai_proxy.auth import STRANGER, Caller
from openai_proxy.dialects import Edge, place_of, segments
from openai_proxy.dialects.aime.endpoints import OWN

METHODS = ("GET", "POST")
Takes = Callable[[str, str], bool]


class AimeRoute(Route):
    """A route whose `endpoint`, if it has one, is such that `takes(name, method)`.

    It takes no HEAD, which would begin what GET does.
    """

    def __init__(self, path: str, app: ASGIApp, methods: tuple[str, ...], takes: Takes) -> None:
        super().__init__(path, app, methods=methods)
        self.methods = set(methods)
        self.takes = takes

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, found = super().matches(scope)
        if match is Match.NONE or "endpoint" not in self.param_convertors:
            return match, found
        name = found["path_params"]["endpoint"]
        return (match, found) if self.takes(name, scope["method"]) else (Match.NONE, {})


class Paths:
    """Which names of endpoints are paths of this server, and which requests come to this protocol's routes."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    def free(self, name: str) -> bool:
        """Whether no other path begins with it."""
        return name not in self._taken

    @cached_property
    def _taken(self) -> frozenset[str]:
        return taken(self.edge, place_of("aime", self.edge.config) or "")

    def admit(self, scope: Scope, head: Mapping[bytes, bytes]) -> Caller | None:
        """This protocol's clients have their keys among their parameters."""
        mine = any(route.matches(scope)[0] is Match.FULL for route in self._routes)
        return STRANGER if mine else None

    @cached_property
    def _routes(self) -> tuple[AimeRoute, ...]:
        return tuple(route for route in self.edge.routes if isinstance(route, AimeRoute))


def taken(edge: Edge, place: str) -> frozenset[str]:
    """The names that no endpoint can have where endpoints lie below `place`."""
    return OWN | segments(edge.routes, place)
