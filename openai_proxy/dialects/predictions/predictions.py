"""Predictions: made, waited for, followed, listed and canceled.

Source: https://replicate.com/docs/reference/http; `/v1/run` and `/v1/run_sse` make one and give its result at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

import msgspec
from msgspec import Raw, structs

from backends.errors import BackendError
from openai_proxy.auth import peer_of, without_credentials
from openai_proxy.decode import decode
from openai_proxy.dialects import Edge
from openai_proxy.dialects.predictions.bodies import PredictionBody, RunBody, key_of, wait_of
from openai_proxy.dialects.predictions.inputs import Translated, translated
from openai_proxy.dialects.predictions.pages import Page, cursor_of, trail_of
from openai_proxy.dialects.predictions.prediction import (
    ORIGIN,
    Prediction,
    Sent,
    shown,
    starting,
    whole,
)
from openai_proxy.dialects.predictions.references import Reference, resolve
from openai_proxy.dialects.predictions.sources import Sources
from openai_proxy.dialects.predictions.streaming import streamed
from openai_proxy.dialects.predictions.webhooks import Told, hook_of
from openai_proxy.errors import EdgeError, InvalidRequest, NotFound
from openai_proxy.jobs.job import DRAWN, Job, Order
from openai_proxy.jobs.store import Filter
from openai_proxy.jobs.uploads import Uploads
from openai_proxy.webhooks.webhooks import Hook
from openai_proxy.wire import JSON, SSE, Flow, Headers, Incoming, Reply

PAGE = 100


class Predictions:
    """The handlers. `prefix` is the path below which this protocol is served; `readers` are those of a job's stream."""

    def __init__(self, edge: Edge, uploads: Uploads, prefix: str) -> None:
        self.edge = edge
        self.uploads = uploads
        self.prefix = prefix
        self.readers: Counter[str] = Counter()
        edge.webhooks.told_by(ORIGIN, Told(edge.jobs, edge.webhooks.pace))

    # One prediction is made

    async def create(self, incoming: Incoming) -> Reply:
        """201 with the prediction, when it has ended for who prefers to wait; 202 when that takes longer."""
        body, _ = await decode(incoming.body, PredictionBody)
        return await self._created(incoming, await self._begun(incoming, body, self._meant(body)))

    async def create_of(self, incoming: Incoming) -> Reply:
        """The same for the model that the path names."""
        body, _ = await decode(incoming.body, PredictionBody)
        return await self._created(incoming, await self._begun(incoming, body, self.of_path(incoming)))

    async def run(self, incoming: Incoming) -> Reply:
        """200 with the whole prediction, however it ended. Who does not wait for it does not want it."""
        body, _ = await decode(incoming.body, RunBody)
        job = await self._begun(incoming, body, self._meant(body))
        try:
            job = await self.edge.jobs.wait(job.id, job.owner)
        except asyncio.CancelledError:
            await self._left(job)
            raise
        return await self._reply(incoming, job, 200)

    async def run_sse(self, incoming: Incoming) -> Flow:
        """The events of a new prediction, which is canceled when its last reader leaves."""
        body, _ = await decode(incoming.body, RunBody)
        job = await self._begun(incoming, body, self._meant(body))
        return Flow(self._read(incoming, job, "", cancel=True), (*SSE, (b"x-prediction-id", job.id.encode())))

    async def _begun(self, incoming: Incoming, body: PredictionBody | RunBody, meant: Reference) -> Job:
        body = structs.replace(body, input=without_credentials(body.input))
        hook = await self._hook(incoming, body)
        sources = Sources(self.edge.fetcher, self.uploads, incoming.caller.name, f"{self.place(incoming, 'files')}/")
        try:
            found = await translated(body.input, meant.served.known(meant.id), sources)
        except (EdgeError, BackendError) as error:
            raise _named(error, {}) from error.__cause__
        try:
            asked = await self.edge.asking(found.kind, {**found.fields, "model": meant.id}, incoming.caller.name)
        except (EdgeError, BackendError) as error:
            raise _named(error, found.names) from error.__cause__
        incoming.note_model(asked.served.name)
        head = incoming.scope["state"]["head"]
        key, digest = key_of(head, incoming.scope["path"], body)
        order = Order(
            request=asked.request,
            format=asked.format,
            speed=asked.speed,
            owner=incoming.caller.name,
            origin=ORIGIN,
            sent=_sent(meant, body, found),
            address=peer_of(incoming.scope),
            key=key,
            digest=digest,
        )
        return await (self.edge.jobs.submit(order) if hook is None else self.edge.webhooks.submit(order, hook))

    async def _hook(self, incoming: Incoming, body: PredictionBody | RunBody) -> Hook | None:
        """Raises InvalidRequest and its kin."""
        if isinstance(body, RunBody):
            return None
        place = self.place(incoming, "predictions")
        return await hook_of(body, incoming.caller.name, place, self.edge.webhooks)

    def _meant(self, body: PredictionBody | RunBody) -> Reference:
        """The model that a body names. Raises InvalidRequest."""
        param = "version" if body.version is not None else "model"
        text = body.version if body.version is not None else body.model
        if text is None:
            raise InvalidRequest("version or model is required.", param="version")
        found = resolve(self.edge.router, text)
        if found is None:
            raise InvalidRequest(f"There is no model or version {text!r:.100} here.", param=param)
        return found

    def of_path(self, incoming: Incoming) -> Reference:
        """The model that a path names. Raises NotFound."""
        parts = incoming.scope["path_params"]
        found = resolve(self.edge.router, f"{parts['owner']}/{parts['name']}")
        if found is None:
            raise NotFound("There is no such model.")
        return found

    async def _created(self, incoming: Incoming, job: Job) -> Reply:
        wait = wait_of(incoming.scope["state"]["head"])
        applied: Headers = ()
        if wait is not None:
            applied = ((b"preference-applied", b"wait=%d" % wait),)
            job = await self.edge.jobs.wait(job.id, job.owner, wait)
            if job.ended:
                return await self._reply(incoming, job, 201, applied)
        prediction = starting(shown(job, (), None, self.place(incoming, "predictions")))
        return _reply(prediction, 201 if wait is None else 202, applied)

    # One prediction is looked at

    async def get(self, incoming: Incoming) -> Reply:
        return await self._reply(incoming, await self._job(incoming), 200)

    async def cancel(self, incoming: Incoming) -> Reply:
        """200 with the prediction, canceled unless it had ended."""
        id, owner = incoming.scope["path_params"]["id"], incoming.caller.name
        return await self._reply(incoming, await self.edge.jobs.cancel(id, owner), 200)

    async def stream(self, incoming: Incoming) -> Flow:
        """Its events from the beginning, or from the one after Last-Event-ID."""
        head = incoming.scope["state"]["head"]
        last = head.get(b"last-event-id", b"").decode("latin-1")
        return Flow(self._read(incoming, await self._job(incoming), last, cancel=False))

    async def _read(self, incoming: Incoming, job: Job, last: str, *, cancel: bool) -> AsyncGenerator[bytes, None]:
        self.readers[job.id] += 1
        ended = False
        try:
            async with aclosing(streamed(self.edge.jobs, job, last, self.place(incoming, "predictions"))) as events:
                async for each in events:
                    yield each
            ended = True
        finally:
            self.readers[job.id] -= 1
            if not self.readers[job.id]:
                del self.readers[job.id]
                if cancel and not ended:
                    await self._left(job)

    async def _left(self, job: Job) -> None:
        """Nobody waits for it any more. A server that drains leaves it for later."""
        if self.edge.lifecycle.phase != "draining":
            await self.edge.jobs.cancel(job.id, job.owner)

    async def _job(self, incoming: Incoming) -> Job:
        return await self.edge.jobs.get(incoming.scope["path_params"]["id"], incoming.caller.name)

    async def _reply(self, incoming: Incoming, job: Job, status: int, more: Headers = ()) -> Reply:
        return _reply(await whole(job, self.edge.jobs, self.place(incoming, "predictions")), status, more)

    # Many predictions

    async def list(self, incoming: Incoming) -> Reply:
        """An owner's predictions, the newest first. Sounds and pictures are to be had one prediction at a time."""
        trail = trail_of(incoming.scope["query_string"])
        filter = Filter(owner=incoming.caller.name, before=trail[-1] if trail else None)
        found = await self.edge.jobs.page(filter, PAGE + 1)
        place = self.place(incoming, "predictions")
        page = Page(results=[await self._listed(job, place) for _, job in found[:PAGE]])
        if len(found) > PAGE:
            page.next = place + cursor_of((*trail, found[PAGE - 1][0]))
        if trail:
            page.previous = place + cursor_of(trail[:-1])
        return Reply(msgspec.json.encode(page))

    async def _listed(self, job: Job, place: str) -> Prediction:
        if job.kind in DRAWN:
            return shown(job, (), None, place)
        return await whole(job, self.edge.jobs, place)

    def place(self, incoming: Incoming, what: str) -> str:
        """Where these lie, as this client knows it."""
        return f"{incoming.root(self.edge.config.server.public_url)}{self.prefix}/v1/{what}"


def _reply(prediction: Prediction, status: int, more: Headers = ()) -> Reply:
    return Reply(msgspec.json.encode(prediction), status, (*JSON, *more))


def _sent(meant: Reference, body: PredictionBody | RunBody, found: Translated) -> bytes:
    written = Raw(msgspec.json.encode(body.input))
    several = isinstance(found.fields.get("input"), list)
    return msgspec.json.encode(Sent(meant.full, meant.version, written, tuple(found.notes), several))


def _named(error: EdgeError | BackendError, names: Mapping[str, str]) -> EdgeError | BackendError:
    """The same error, with the input in place of OpenAI's field."""
    if error.param is not None and error.param not in ("model", "version"):
        parts = error.param.split(".")
        places = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
        error.param = f"input.{next((names[place] for place in places if place in names), parts[0])}"
    return error
