"""One of several serving processes: a process like one that serves alone, which takes its orders from a supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from typing import Any, NoReturn, cast

from backends.errors import BackendError
from openai_proxy import logs
from openai_proxy.app import Application, create_app
from openai_proxy.company import Order, Steer
from openai_proxy.config import Config
from openai_proxy.door import Door
from openai_proxy.errors import EdgeError
from openai_proxy.keys import Keys
from openai_proxy.process import LAST_WORDS, Process, listening
from openai_proxy.workers.birth import Birth
from openai_proxy.workers.board import CHANGED, SLOT_FREE, Plan, Post
from openai_proxy.workers.companies import Companies
from openai_proxy.workers.frames import Message
from openai_proxy.workers.link import Link, Others
from openai_proxy.workers.sums import figures
from openai_proxy.workers.threshold import Threshold

REFUSED = 2
COUNT_EVERY = 1.0
SETTLE = 30.0
LOOK_EVERY = 0.1
ON_THE_WAY = frozenset({"stopped", "loading", "stopping", "restarting"})

log = logging.getLogger("openai_proxy.workers")


def prepare(config: Config, keys: Keys) -> Application:
    """Import all that workers need before they are forked, so that they have it in common; an application like theirs.

    Raises ValueError when a backend refuses its options.
    """
    application = create_app(config, keys)
    uvicorn_config = listening(application, Door(application.edge, 0))
    uvicorn_config.load()
    uvicorn_config.get_loop_factory()
    return application


def serve(birth: Birth, started: Callable[[Application], None], *, human: bool | None) -> int:
    """Be that worker until the supervisor ends it, or is gone; the exit code. `started` is called by the first one."""
    given = birth.given
    post = Post(birth.board, birth.row)
    companies = Companies(post, given.plan)
    writer = logs.start(human=human, worker=birth.number)
    try:
        try:
            application = create_app(given.config, given.keys, companies, given.revision)
        except ValueError as error:
            log.error("%s", error)
            return REFUSED
        worker = Worker(birth, application, post, companies)
        if birth.first and birth.number == 1:
            worker.serving = functools.partial(started, application)
        worker.run()
        return worker.code
    finally:
        writer.close()


class Worker(Process):
    """`application` has the companies of the others; `post` is this worker's place among them."""

    def __init__(self, birth: Birth, application: Application, post: Post, companies: Companies) -> None:
        door = Threshold(application.edge, birth.descriptors, post)
        super().__init__(listening(application, door), application, door, _unread, watch=False)
        self.app = application
        self.birth = birth
        self.post = post
        self.companies = companies
        self.link = Link(self._on_message, self._on_lost)
        self._open: dict[int, list[asyncio.Server]] = {}
        self._closed = False

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Signals are for the supervisor: those that came here too were sent to the whole group of processes."""
        yield

    # Beginning and end

    async def startup(self, sockets: object = None) -> None:
        await super().startup([])
        await self.link.open(self.birth.channel)
        self.app.edge.sessions.secret = self.birth.secret
        self.app.edge.fleet = Others(self.link, self.app.edge.metrics)
        asyncio.get_running_loop().add_reader(self.post.board.pipes[self.post.row][0], self._on_call)
        for name, order in self.birth.given.orders.items():
            with contextlib.suppress(EdgeError):
                self.app.edge.router.steered(name).order(order)
        for (name, upstream), steer in self.birth.given.steered.items():
            with contextlib.suppress(EdgeError):
                self.app.edge.router.steered(name).steer(steer, upstream)
        if not self.birth.first:
            await self._settle()
        if not self._closed:
            await self._take_from(self.birth.number)
            self.link.tell("serving")
        self._spawn(self._count())

    async def _settle(self) -> None:
        """Wait until no model is on its way: another worker still serves in this one's place."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE), contextlib.aclosing(self._states()) as changes:
                async for states in changes:
                    if ON_THE_WAY.isdisjoint(states):
                        return

    async def _states(self) -> AsyncGenerator[set[str], None]:
        router = self.app.edge.router
        async with contextlib.aclosing(router.changes()) as changes:
            async for _ in changes:
                yield {served.state.name for served in router.models.values()}

    async def shutdown(self, sockets: object = None) -> None:
        self._close_port()
        await super().shutdown()
        asyncio.get_running_loop().remove_reader(self.post.board.pipes[self.post.row][0])
        self.link.tell("counted", figures(self.app.edge.metrics.registry))
        await self.link.close(LAST_WORDS)

    async def _count(self) -> None:
        """Tell the figures from time to time, for a hundredth of the time at most.

        What was counted since is lost when this process is killed.
        """
        took = 0.0
        while True:
            await asyncio.sleep(max(COUNT_EVERY, 100 * took))
            began = time.perf_counter()
            self.link.tell("counted", figures(self.app.edge.metrics.registry))
            took = time.perf_counter() - began

    # Connections

    async def _take_from(self, number: int) -> None:
        """Take connections from the listeners of that number."""
        make = functools.partial(
            cast(Any, self.config.http_protocol_class),
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        self._open[number] = []
        for own in [listener.dup() for listener in self.birth.listeners[number]]:
            server = await asyncio.get_running_loop().create_server(make, sock=own, backlog=self.config.backlog)
            self._open[number].append(server)
            self.servers.append(server)
        if self._closed:
            self._close_port()

    async def _tend(self, numbers: Iterable[int]) -> None:
        """Take connections from the listeners of these numbers too, and of no others but its own."""
        wanted = {self.birth.number, *numbers}
        for number in set(self._open) - wanted:
            for server in self._open.pop(number):
                self.servers.remove(server)
                server.close()
        for number in wanted - set(self._open):
            if not self._closed:
                await self._take_from(number)

    def _close_port(self) -> None:
        """Other processes may hold the same listeners: this one takes no more from them."""
        self._closed = True
        super()._close_port()
        for sockets in self.birth.listeners.values():
            for listener in sockets:
                listener.close()

    async def _retire(self) -> None:
        """Another process has taken this one's place: finish what runs, then end."""
        self._close_port()
        edge = self.app.edge
        edge.router.hush()
        log.info("retiring: %d running", len(edge.lifecycle.running))
        end = asyncio.get_running_loop().time() + edge.config.timeouts.request + edge.config.server.keep_alive
        while self.server_state.connections and asyncio.get_running_loop().time() < end:
            for connection in self._connections():
                connection.retire()
            await asyncio.sleep(LOOK_EVERY)
        self.leave(0.0)

    # What the supervisor and the others say

    def _on_lost(self) -> None:
        if not self.should_exit:
            log.error("the supervisor is gone: leaving")
            self.leave(0.0)

    def _on_call(self) -> None:
        calls = self.post.board.heard(self.post.row)
        if calls.find(SLOT_FREE) >= 0:
            for look in tuple(self.post.waiting):
                look()
        if calls.find(CHANGED) >= 0:
            self.app.edge.router.stir()

    def _on_message(self, message: Message) -> None:
        match message.what:
            case "leave":
                self.leave(message.content)
            case "force":
                self.end_now()
            case "retire":
                self._spawn(self._retire())
            case "tend":
                self._spawn(self._tend(message.content))
            case "metrics":
                self.link.answer(message, figures(self.app.edge.metrics.registry))
            case "take":
                self._spawn(self._take_over(message, *message.content))
            case "order":
                self._spawn(self._carry_out(message, *message.content))
            case "image" | "login" | "ask":
                self._tell_kept(message)
            case "upstreams":
                self._tell_upstreams(message, *message.content)

    def _tell_kept(self, message: Message) -> None:
        edge = self.app.edge
        if message.what == "ask":
            what, content = message.content
            self.link.answer(message, edge.answering[what](content))
            return
        kept = edge.images if message.what == "image" else edge.logins
        self.link.answer(message, kept.find(message.content))

    def _tell_upstreams(self, message: Message, name: str, steer: tuple[Steer, str] | None) -> None:
        try:
            served = self.app.edge.router.steered(name)
            if steer is not None:
                served.steer(*steer)
            told: object = list(served.upstreams())
        except EdgeError as error:
            told = error
        self.link.answer(message, told)

    async def _take_over(self, message: Message, config: Config, keys: Keys, plan: Plan, revision: int) -> None:
        before, self.companies.plan = self.companies.plan, plan
        try:
            await self.app.reload(config, keys, revision)
        except ValueError as error:
            self.companies.plan = before
            self.link.answer(message, ValueError(str(error)))
        else:
            self.link.answer(message, None)

    async def _carry_out(self, message: Message, name: str, order: Order, timeout: float) -> None:
        try:
            served = self.app.edge.router.steered(name)
            served.order(order)
            done: object = await served.settle(order, timeout)
        except (EdgeError, BackendError) as error:
            done = error
        self.link.answer(message, done)

    async def reload(self) -> None:
        """Have the supervisor read the configuration, for all workers."""
        await self.link.ask("reload")


def _unread() -> NoReturn:
    raise AssertionError("a worker reads no configuration")
