"""`POST /v1/images/generations`, `POST /v1/images/edits` and `POST /v1/images/variations`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial

from msgspec import structs

from backends.events import Outcome
from backends.requests import ImageRequest
from openai_proxy.auth import IMAGE_FILES
from openai_proxy.bodies.checks import check_kind, model_of_kind
from openai_proxy.bodies.image_bodies import (
    DrawingFields,
    EditBody,
    GenerationBody,
    VariationBody,
    VariationFields,
)
from openai_proxy.bodies.image_request import given_of, image_request
from openai_proxy.decode import Given, beside, decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.image_answers import Address, answer, look_of
from openai_proxy.dialects.openai.image_frames import Subject, frames
from openai_proxy.dialects.openai.image_links import relinked
from openai_proxy.errors import UnsupportedMediaType
from openai_proxy.forms import boundary_of, read_form
from openai_proxy.served import Served
from openai_proxy.wire import Flow, Incoming, Reply

SUBJECTS: Mapping[str, Subject] = {"generate": "image_generation", "edit": "image_edit"}


class Images:
    """Draws. `body` says which of the three it is."""

    def __init__(self, edge: Edge, body: type[GenerationBody] | type[EditBody] | type[VariationBody]) -> None:
        self.edge = edge
        self.body = body

    async def __call__(self, incoming: Incoming) -> Reply | Flow:
        body, fields = await self._read(incoming)
        request = await self._request(incoming, body, fields)
        look = look_of(body)
        events = self.edge.router.run(request, partial(self._for_another, body, fields, incoming.repeatable))
        if isinstance(body, DrawingFields) and body.stream:
            return Flow(frames(events, SUBJECTS[request.task], look))
        outcome = await Outcome.of(events)
        if outcome.relayed is None:
            return Reply(await answer(outcome, look, self._address(incoming)))
        if look.linked:
            return Reply(await relinked(outcome.relayed, self._address(incoming)))
        return Reply(outcome.relayed)

    async def _read(self, incoming: Incoming) -> tuple[VariationFields, Given]:
        if self.body is GenerationBody:
            return await decode(incoming.body, GenerationBody)
        boundary = boundary_of(incoming.content_type)
        if boundary is None:
            raise UnsupportedMediaType("Content-Type must be multipart/form-data with a boundary.")
        limits = self.edge.config.limits
        body, names = await asyncio.to_thread(read_form, incoming.body, boundary, self.body, limits)
        return body, given_of(body, names)

    async def _request(self, incoming: Incoming, body: VariationFields, fields: Given) -> ImageRequest:
        limits = self.edge.config.limits
        served, name = model_of_kind(self.edge.router, body.model, "image", limits)
        incoming.note_model(served.name)
        request = await beside(incoming.body, image_request, body, fields, name, served.known(name), limits)
        return structs.replace(request, repeatable=True) if incoming.repeatable else request

    async def _for_another(
        self, body: VariationFields, fields: Given, repeatable: bool, served: Served
    ) -> ImageRequest:
        """The same request for another model. Raises InvalidRequest or Unsupported where it cannot take that."""
        check_kind(served, "image")
        request = image_request(body, fields, served.name, served.model, self.edge.config.limits)
        return structs.replace(request, repeatable=repeatable)

    def _address(self, incoming: Incoming) -> Address:
        """Keeps pictures at addresses where this client reaches the server."""
        root = incoming.root(self.edge.config.server.public_url)
        return lambda data, media_type: f"{root}{IMAGE_FILES}{self.edge.images.put(data, media_type)}"
