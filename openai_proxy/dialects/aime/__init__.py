"""AIME's API: logins, endpoints, requests that are waited for or polled, with progress.

Source: https://github.com/aime-team/aime-api-server and its clients, as far as these use it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import msgspec

from backends.errors import BackendError
from openai_proxy.dialects import Dialect, Edge
from openai_proxy.dialects.aime.answers import Answers
from openai_proxy.dialects.aime.callers import Callers
from openai_proxy.dialects.aime.described import OPERATIONS
from openai_proxy.dialects.aime.details import details
from openai_proxy.dialects.aime.endpoints import Endpoint, Endpoints
from openai_proxy.dialects.aime.faults import SHAPE, UNKNOWN_VERSION, NotRegistered, Refusal, failed, refused
from openai_proxy.dialects.aime.parameters import parameters, text_of
from openai_proxy.dialects.aime.routes import METHODS, AimeRoute, Paths
from openai_proxy.dialects.aime.translation import NAMES
from openai_proxy.errors import EdgeError
from openai_proxy.wire import Incoming, Reply

Given: TypeAlias = Mapping[str, Any]
Answer: TypeAlias = Callable[[Incoming, Given, Endpoint], Awaitable[dict[str, Any]]]
SHOWN = 100


def build(edge: Edge) -> Dialect:
    """The routes of AIME's API, endpoints last."""
    paths = Paths(edge)
    aime = Aime(edge, paths)

    def known(name: str, method: str) -> bool:
        return paths.free(name) and aime.endpoints.find(name) is not None

    def any_name(name: str, method: str) -> bool:
        return paths.free(name)

    def route(path: str, handle: Callable[[Incoming], Awaitable[Reply]], takes: Any, *methods: str) -> AimeRoute:
        return AimeRoute(path, edge.endpoint(handle, SHAPE, fields=True), methods or METHODS, takes)

    at, answers = partial(partial, aime.at_endpoint), aime.answers
    return Dialect(
        routes=(
            route("/login", aime.login, known),
            route("/get_client_session_auth_key", aime.login, known),
            route("/api/validate_key", aime.validate, known),
            route("/api/endpoints", aime.listed, known),
            route("/api/endpoints/{endpoint}", at(aime.details), any_name),
            route("/api/{endpoint}", at(aime.details), known, "GET"),
            route("/{endpoint}", at(answers.asked), known),
            route("/{endpoint}/progress", at(answers.stands), any_name),
            route("/{endpoint}/login", aime.login, any_name),
            route("/{endpoint}/get_client_session_auth_key", aime.login, any_name),
        ),
        operations=OPERATIONS,
        admit=paths.admit,
        remarks=aime.endpoints.left_out,
    )


class Aime:
    """The answers."""

    def __init__(self, edge: Edge, paths: Paths) -> None:
        self.edge = edge
        self.endpoints = Endpoints(edge, paths.free)
        self.callers = Callers(edge)
        self.answers = Answers(edge, self.callers)

    async def login(self, incoming: Incoming) -> Reply:
        """A key for a while; for one endpoint, or at the root for all of them."""
        return await self._answered(incoming, None, self._login)

    async def _login(self, incoming: Incoming, given: Given) -> dict[str, Any]:
        name = endpoint_of(incoming) or text_of(given, "endpoint_name")
        endpoint = None
        if name:
            endpoint = await self._known(name, incoming, given)
        session = await self.callers.login(incoming, given, endpoint)
        return {
            "success": True,
            "ep_version": UNKNOWN_VERSION if endpoint is None else endpoint.version,
            "client_session_auth_key": session,
            "key": None if self.edge.keys else text_of(given, "key"),  # a key of ours is never shown
        }

    async def _known(self, name: str, incoming: Incoming, given: Given) -> Endpoint:
        """The endpoint of that name. Raises Refusal, to strangers as if they had to log in first."""
        endpoint = self.endpoints.find(name)
        if endpoint is None:
            await self.callers.find(incoming, given)
            raise Refusal(404, f"There is no endpoint {name[:SHOWN]}.")
        return endpoint

    async def validate(self, incoming: Incoming) -> Reply:
        """Whether a key is good."""

        async def answer(incoming: Incoming, given: Given) -> dict[str, Any]:
            caller = await self.callers.seek(incoming, given, None)
            if caller is None and "key" not in given:
                raise NotRegistered
            return {"success": caller is not None, "error": None if caller is not None else "API key not valid"}

        return await self._answered(incoming, None, answer)

    async def listed(self, incoming: Incoming) -> Reply:
        """The names of all endpoints that the key may use."""

        async def answer(incoming: Incoming, given: Given) -> dict[str, Any]:
            caller = await self.callers.find(incoming, given)
            everywhere = not self.edge.keys
            return {"endpoints": [each.name for each in self.endpoints if everywhere or each.open_to(caller.name)]}

        return await self._answered(incoming, None, answer)

    async def details(self, incoming: Incoming, given: Given, endpoint: Endpoint) -> dict[str, Any]:
        """All about an endpoint."""
        await self.callers.find(incoming, given, endpoint)
        return await details(endpoint, self.edge)

    async def at_endpoint(self, answer: Answer, incoming: Incoming) -> Reply:
        """What an endpoint answers."""
        name = endpoint_of(incoming)

        async def found(incoming: Incoming, given: Given) -> dict[str, Any]:
            return await answer(incoming, given, await self._known(name, incoming, given))

        return await self._answered(incoming, self.endpoints.find(name), found)

    async def _answered(
        self,
        incoming: Incoming,
        endpoint: Endpoint | None,
        answer: Callable[[Incoming, Given], Awaitable[dict[str, Any]]],
    ) -> Reply:
        """The answer as JSON, or what went wrong as AIME's clients know it."""
        version = UNKNOWN_VERSION if endpoint is None else endpoint.version
        try:
            given = await parameters(incoming, self.edge.config.limits)
            return Reply(msgspec.json.encode(await answer(incoming, given)))
        except Refusal as refusal:
            return refused(refusal, version)
        except (EdgeError, BackendError) as error:
            names = {} if endpoint is None else NAMES[endpoint.kind]
            return failed(error, incoming.request_id, version, self.edge.config.jobs.queued, names)


def endpoint_of(incoming: Incoming) -> str:
    """The endpoint that the path names; "" where it names none."""
    name: str = incoming.scope.get("path_params", {}).get("endpoint", "")
    return name
