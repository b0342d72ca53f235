"""The backend `remote`: one model at any number of servers of OpenAI's API."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import inf

from msgspec import structs

from backends import KINDS, Lack, Model, Setup, State, UpstreamState
from backends.errors import Overloaded, Rejected, Unavailable
from backends.events import Event
from backends.figures import Figure
from backends.remote.attempt import Again, Attempt
from backends.remote.choosing import Hints
from backends.remote.credentials import problems
from backends.remote.discovery import Discovery, Found
from backends.remote.hedge import hedged
from backends.remote.lease import Lease
from backends.remote.listing import Listed, context_of, lacking
from backends.remote.pool import NOTHING, NoUpstream, Pool
from backends.remote.probing import ProbeResult
from backends.remote.server import Server
from backends.remote.settings import read_settings
from backends.remote.upstream import Upstream
from backends.requests import ChatRequest, CompletionRequest, ImageRequest, Request

log = logging.getLogger(__name__)

SLOTS = 1024
FIRST_LOOK, OTHERS_LOOK = 2.0, 0.2  # seconds
PREFIX = 2048
BYTES_PER_TOKEN = 4
MOST_TOKENS = 32_000  # a picture's base64 is millions of bytes, and some thousand tokens
FORWARDED = frozenset(KINDS.values())
PARAMETERS = frozenset(
    {"temperature", "top_p", "max_tokens", "stop", "seed", "n", "presence_penalty", "frequency_penalty", "logit_bias"}
    | {"logprobs", "prompt_logprobs", "tools", "parallel_tool_calls", "reasoning_effort", "echo", "chat_echo"}
    | {"json_object", "json_schema", "regex", "choice", "grammar", "token_prompts", "dimensions", "use_activation"}
    | {"top_k", "min_p", "repetition_penalty", "ignore_eos", "min_tokens", "priority", "stop_token_ids", "script"}
    | {"include_stop_str_in_output", "bad_words", "allowed_token_ids", "skip_special_tokens", "cache_salt"}
    | {"spaces_between_special_tokens", "truncate_prompt_tokens", "truncation_side", "thinking_token_budget"}
    | {"add_special_tokens", "return_tokens_as_token_ids", "add_generation_prompt", "continue_final_message"}
    | {"chat_template_kwargs", "language", "prompt", "translate", "segment_timestamps", "word_timestamps"}
    | {"server_vad", "transcript_logprobs"}
    | {"speed", "instructions"}
    | {"edit", "vary", "images", "mask", "effort", "steps", "guidance", "strength", "negative_prompt", "transparent"}
    | {"partial", "style", "input_fidelity", "complexity", "gif", "svg", "frame_count", "frame_duration_ms"}
)


class Remote:
    """A model behind other servers. Options: `backends.remote.options`."""

    resilient = True
    shareable = True

    def __init__(self, setup: Setup) -> None:
        for setting in ("model", "engine", "adapters"):
            if getattr(setup, setting):
                raise ValueError(f"model {setup.name}: remote has no setting {setting!r}; it takes upstreams")
        self.name = setup.name
        self.options = read_settings(setup.name, setup.options, setup.upstreams)
        self._changed = setup.changed
        self.pool = Pool(self.options, self._probe, changed=self._changed, model=self.name)
        self.slots = setup.slots or self.pool.slots or SLOTS
        self.model = Model(
            kinds=frozenset(self.options.kinds or FORWARDED),
            parameters=PARAMETERS,
            modalities=frozenset({"image", "audio"}),
            relays=True,
        )
        self._discovery = Discovery(self.options, self.model) if self.options.patterns else None
        self._servers: tuple[Server, ...] = ()
        self._inherited: dict[int, Mapping[str, Listed]] = {}
        self._started = False

    @staticmethod
    def lacking(setup: Setup) -> Iterator[Lack]:
        """Keys and certificates that are not there."""
        options = read_settings(setup.name, setup.options, setup.upstreams)
        for number, upstream in enumerate(options.upstreams):
            for field, problem in problems(upstream):
                yield Lack(("upstreams", number, field), f"model {setup.name}: {problem}")

    def inherit(self, former: Remote) -> None:
        """A reload puts it in the place of that one: what is known of upstreams that stay is kept, their models too."""
        for upstream, before in self.pool.take_after(former.pool):
            listed = former._servers[before.index].listed if before.index < len(former._servers) else None
            if listed is not None:
                self._inherited[upstream.index] = listed
            elif self._discovery is not None:
                upstream.forget()  # a first probe has to be waited for, as nobody knows what models it has

    @property
    def state(self) -> State:
        if not self._started:
            return State("loading" if self._servers else "stopped")
        return self.pool.standing

    async def start(self) -> None:
        """Read keys and certificates, then look for the upstreams."""
        try:
            self._servers = tuple(Server(each.options, self.name, self.options) for each in self.pool.upstreams)
        except ValueError as error:
            raise Unavailable(str(error)) from error
        self._learn_from_former()
        self.pool.start()
        if self.options.probe_every:
            await self._look_around()
        self._started = True
        self._changed()

    def _learn_from_former(self) -> None:
        """What upstreams listed before a reload, they list until a probe says otherwise."""
        inherited, self._inherited = self._inherited, {}
        for index, listed in inherited.items():
            self._servers[index].listed = listed
            self._learn(self.pool.upstreams[index], listed)

    async def _look_around(self) -> None:
        """Wait until it is known of each upstream whether it is there; not for long, and less once one is."""
        began, upstreams = time.monotonic(), self.pool.upstreams
        while any(each.unknown for each in upstreams):
            found = any(not each.unknown and not each.down for each in upstreams)
            if time.monotonic() > began + (OTHERS_LOOK if found else FIRST_LOOK):
                return
            await asyncio.sleep(0.02)  # nobody tells, and it is rare

    def refresh(self) -> None:
        """Take keys that have changed where they are kept, and forget what the old ones were refused for."""
        for server, upstream in zip(self._servers, self.pool.upstreams, strict=False):
            try:
                if server.reread_key():
                    upstream.circuit.close(self.pool.clock())
                    log.info("model %s: upstream %s has another key", self.name, server.name)
            except ValueError as error:
                log.error("model %s: %s; the old key stays", self.name, error)

    async def close(self) -> None:
        self._started = False
        await self.pool.close()
        for server in self._servers:
            await server.close()
        self._servers = ()
        self._changed()

    def upstreams(self) -> Sequence[UpstreamState]:
        """What operators are told of them."""
        return self.pool.state.upstreams

    def drain(self, name: str) -> None:
        """No new work for this upstream; what runs there goes on. Raises UnknownUpstream."""
        self.pool.drain(name)

    def undrain(self, name: str) -> None:
        """Give it work again. Raises UnknownUpstream."""
        self.pool.undrain(name)

    def discovered(self) -> Mapping[str, Model] | None:
        """The models that the upstreams list, where those are served."""
        return None if self._discovery is None else self._discovery.models

    def figures(self) -> Iterable[Figure]:
        """What the metrics show of the upstreams."""
        return self.pool.figures()

    def run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answer by one upstream; another one is tried where that is safe. Closing it early closes the connection."""
        asked: list[Upstream] = []
        if self.options.hedge_after and _repeatable(request):
            first, second = partial(self._answer, request, asked), partial(self._answer, request, asked)
            return hedged(first, second, self.options.hedge_after)
        return self._answer(request, asked)

    async def _answer(self, request: Request, asked: list[Upstream]) -> AsyncGenerator[Event, None]:
        """The events of an upstream that is not among those that were asked, if there is another one."""
        if not self._started:
            raise Unavailable
        servers, found = self._servers, self._found(request)
        among = None if found is None else found.upstreams
        tried = list(asked)
        failed: Again | None = None
        while True:
            with self._lease(request, tried, among, failed) as lease:
                begun = False
                asked.append(lease.upstream)
                server = servers[lease.upstream.index]
                theirs = server.model if found is None else found.theirs
                try:
                    trial = Attempt(server, lease, request, theirs)
                    async with trial as events:
                        if isinstance(events, list):
                            trial.heard = inf
                            for event in events:
                                begun = True
                                yield event
                            return
                        async for event in events:
                            begun = True
                            trial.heard = inf  # what the client takes its time for is not the upstream's silence
                            yield event
                            trial.heard = time.monotonic()
                    return
                except Again as failure:
                    failed = failure
                    tried.append(lease.upstream)
                    if begun or not (failure.safe or _repeatable(request)) or len(tried) > self.options.retries:
                        raise failure.error from failure.__cause__

    def _found(self, request: Request) -> Found | None:
        """Where a model is that the upstreams list; None where all have the one model. Raises Rejected."""
        if self._discovery is None:
            return None
        found = self._discovery.found.get(request.model)
        if found is None:
            message = f"The model {request.model!r:.100} does not exist any more."
            kind, code = "invalid_request_error", "model_not_found"
            raise Rejected(message, status=404, kind=kind, code=code, param="model")
        return found

    def _lease(
        self, request: Request, tried: Sequence[Upstream], among: Sequence[Upstream] | None, failed: Again | None
    ) -> Lease:
        elsewhere = bool(tried) if failed is None else failed.elsewhere
        try:
            hints = _hints(request) if len(self.pool.upstreams) > 1 else NOTHING
            return self.pool.lease(hints, tried, among, elsewhere=elsewhere)
        except NoUpstream as error:
            if failed is not None:
                raise failed.error from error
            kind = Overloaded if error.reason == "full" else Unavailable
            raise kind(str(error), retry_after=error.retry_after) from error

    async def _probe(self, upstream: Upstream) -> ProbeResult:
        server = self._servers[upstream.index]
        result = await server.probe()
        if server.listed is not None:
            self._learn(upstream, server.listed)
        return result

    def _learn(self, upstream: Upstream, listing: Mapping[str, Listed]) -> None:
        """The upstream listed these models."""
        if self._discovery is None:
            parameters = PARAMETERS - lacking((each.listed or {}).get(each.model) for each in self._servers)
            model = structs.replace(self.model, context=narrowest_of(self._servers), parameters=parameters)
            self.model = self.model if model == self.model else model
        elif self._discovery.take(self.pool.upstreams, upstream.index, listing):
            log.info("the upstreams of %s list %d models for it", self.name, len(self._discovery.models))
            self._changed()


def narrowest_of(servers: Iterable[Server]) -> int | None:
    """Tokens that the model holds at each of them, as far as they tell: each may call it by another name."""
    known = [context_of(each.model, each.listed) for each in servers if each.listed is not None]
    return min((length for length in known if length is not None), default=None)


def _repeatable(request: Request) -> bool:
    """Whether a request may be sent again though work on it may have begun: what only reads changes nothing."""
    return not isinstance(request, ChatRequest | CompletionRequest | ImageRequest) or request.repeatable


def _hints(request: Request) -> Hints:
    form = getattr(request, "form", None)
    if form is None:
        return Hints()
    fields = form.fields
    prompt = memoryview(fields.get("messages") or fields.get("prompt") or fields.get("input") or b"")
    session = fields.get("prompt_cache_key") or fields.get("user") or b""
    return Hints(min(len(prompt) // BYTES_PER_TOKEN, MOST_TOKENS), bytes(prompt[:PREFIX]), bytes(session))
