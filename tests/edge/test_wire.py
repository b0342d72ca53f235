"""One exchange without a socket: the test is the server around it, and decides what arrives and when."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest
from starlette.types import Message

from backends.events import Delta, Event
from openai_proxy import pulse
from openai_proxy import wire as module
from openai_proxy.auth import NOBODY
from openai_proxy.config import Config, Limits, Timeouts
from openai_proxy.errors import Draining, EdgeError, Fault
from openai_proxy.lifecycle import Lifecycle
from openai_proxy.ticker import Ticker
from openai_proxy.wire import DONE, Endpoint, Flow, Incoming, Reply, Stream, Wire, fault_headers, render_fault

CHUNK = b'data: {"a":1}\n\n'


class Client:
    """The other end of one exchange: `body` arrives, then nothing until `leave`."""

    def __init__(self, body: bytes = b"{}", whole: bool = True) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.incoming.put_nowait({"type": "http.request", "body": body, "more_body": not whole})
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.chunks: list[bytes] = []
        self.ended = self.aborted = False
        self.taking = asyncio.Event()
        self.taking.set()

    def leave(self) -> None:
        self.incoming.put_nowait({"type": "http.disconnect"})

    def abort(self) -> None:
        self.aborted = True
        self.leave()

    async def send(self, message: Message) -> None:
        await self.taking.wait()
        if message["type"] == "http.response.start":
            assert not self.status
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            assert self.status
            assert not self.ended
            self.chunks.append(message["body"])
            self.ended = not message.get("more_body", False)

    @property
    def said(self) -> bytes:
        return b"".join(self.chunks)

    @property
    def error(self) -> dict[str, Any]:
        text = self.said.rpartition(b"data: ")[2]
        error: dict[str, Any] = json.loads(text)["error"]
        return error


class Server:
    """What stands around an endpoint, and what it was told."""

    def __init__(self, timeouts: Timeouts | None = None) -> None:
        self.config = Config(timeouts=timeouts or Timeouts(), limits=Limits(body_bytes=100))
        self.lifecycle = Lifecycle()
        self.canceled: list[str] = []
        self.timers: list[str] = []
        self.wire = Wire(
            lambda: self.config,
            self.lifecycle,
            Ticker(),
            lambda _, reason: self.canceled.append(reason),
            self.timers.append,
        )
        self.tasks = len(asyncio.all_tasks())

    def take(
        self,
        client: Client,
        answer: Callable[[Incoming], Coroutine[Any, Any, Reply | Stream | Flow]],
        abort: bool = True,
    ) -> asyncio.Task[None]:
        scope: dict[str, Any] = {"type": "http", "method": "POST", "headers": [(b"content-type", b"application/json")]}
        scope["state"] = {"request_id": "req_1", "head": dict(scope["headers"]), "caller": NOBODY}
        if abort:
            scope["extensions"] = {"openai_proxy.abort": {"abort": client.abort}}
        return asyncio.create_task(self._serve(Endpoint(self.wire, answer), scope, client))

    async def _serve(self, endpoint: Endpoint, scope: dict[str, Any], client: Client) -> None:
        await endpoint(scope, client.incoming.get, client.send)

    async def settled(self) -> None:
        """Assert that nothing is left of the exchanges."""
        await asyncio.sleep(0.01)
        assert not self.lifecycle.running
        assert len(asyncio.all_tasks()) == self.tasks


class Words:
    """The plainest frames: an event's text as it is."""

    def render(self, event: Event) -> bytes:
        return event.text.encode() if isinstance(event, Delta) else b""

    def end(self) -> bytes:
        return DONE


class Engine:
    """A stream of chunks, some time apart; `closed` once it is."""

    def __init__(self, *chunks: bytes | Exception, delay: float = 0.0) -> None:
        self.chunks = chunks
        self.delay = delay
        self.closed = 0

    async def stream(self) -> AsyncGenerator[Event, None]:
        try:
            for chunk in self.chunks:
                await asyncio.sleep(self.delay)
                if isinstance(chunk, Exception):
                    raise chunk
                yield Delta(chunk.decode())
        finally:
            self.closed += 1

    async def __call__(self, _: Incoming) -> Stream:
        return Stream(self.stream(), Words())


def live(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await work()

    asyncio.run(bounded())


async def forever(_: Incoming) -> Reply:
    await asyncio.Event().wait()
    raise AssertionError


def test_a_stream_ends_with_its_end_mark() -> None:
    async def work() -> None:
        server, client, engine = Server(), Client(), Engine(CHUNK, CHUNK)
        await server.take(client, engine)
        assert (client.status, client.said, client.ended) == (200, CHUNK + CHUNK + DONE, True)
        assert engine.closed == 1
        assert not client.aborted
        await server.settled()

    live(work)


@pytest.mark.parametrize("delay", [0.0, 0.1], ids=["at once", "when watched"])
def test_a_client_that_leaves_a_stream_ends_the_engines_work(delay: float) -> None:
    async def work() -> None:
        server, client, engine = Server(), Client(), Engine(*[CHUNK] * 1000, delay=0.01)
        task = server.take(client, engine)
        await asyncio.sleep(delay)
        client.leave()
        await task
        assert engine.closed == 1
        assert len(client.chunks) < 100
        assert (server.canceled, client.ended, client.aborted) == (["client_gone"], False, True)
        await server.settled()

    live(work)


def test_a_client_that_leaves_before_an_answer() -> None:
    async def work() -> None:
        server = Server()
        for abort in (True, False):
            client = Client()
            task = server.take(client, forever, abort)
            await asyncio.sleep(0.1)
            client.leave()
            await task
            assert (client.status, client.chunks, client.aborted) == (0, [], abort)
        assert server.canceled == ["client_gone"] * 2
        await server.settled()

    live(work)


def test_a_client_that_leaves_in_the_middle_of_its_body() -> None:
    async def work() -> None:
        server, client = Server(), Client(b"{", whole=False)
        task = server.take(client, forever)
        client.leave()
        await task
        assert (client.status, server.canceled) == (0, ["client_gone"])
        await server.settled()

    live(work)


def test_many_that_leave_at_once_leave_nothing_behind() -> None:
    async def work() -> None:
        server = Server()
        clients = [Client() for _ in range(200)]
        engine = Engine(*[CHUNK] * 1000, delay=0.01)
        tasks = [server.take(client, engine) for client in clients]
        await asyncio.sleep(0.1)
        for client in clients:
            client.leave()
        await asyncio.gather(*tasks)
        assert engine.closed == 200
        await server.settled()

    live(work)


def test_a_drain_is_a_status_before_the_first_event_and_an_event_after_it() -> None:
    async def work() -> None:
        server, early, late = Server(), Client(), Client()
        tasks = [server.take(early, forever), server.take(late, Engine(*[CHUNK] * 1000, delay=0.02))]
        await asyncio.sleep(0.1)
        server.lifecycle.stop_running()
        server.lifecycle.stop_running()
        await asyncio.gather(*tasks)
        assert (early.status, early.error["code"], early.headers[b"retry-after"]) == (503, "draining", b"1")
        assert (late.status, late.error["code"], late.ended, late.aborted) == (200, "draining", False, True)
        assert DONE not in late.said
        assert await server.lifecycle.idle(1)
        await server.settled()

    live(work)


@pytest.mark.parametrize("first", [0, 1])
def test_a_bug_shows_nothing(first: int) -> None:
    async def work() -> None:
        server, client = Server(), Client()
        await server.take(client, Engine(*[CHUNK] * first, KeyError("/secret")))
        assert client.status == (200 if first else 500)
        assert client.error["code"] == "internal_error"
        assert client.error["message"].count("req_1") == 1
        assert b"secret" not in client.said
        assert client.aborted is bool(first)
        await server.settled()

    live(work)


def test_a_client_that_takes_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PATIENCE", 0.02)
    monkeypatch.setattr(module, "ABORT_WAIT", 0.05)

    async def work() -> None:
        server, client, engine = Server(Timeouts(send=0.1)), Client(), Engine(*[CHUNK] * 1000, delay=0.01)
        task = server.take(client, engine)
        await asyncio.sleep(0.03)
        client.taking.clear()
        await task
        assert (engine.closed, server.canceled, client.aborted) == (1, ["client_slow"], True)
        await server.settled()

    live(work)


def test_a_last_event_that_is_not_taken_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABORT_WAIT", 0.05)

    async def work() -> None:
        server, client = Server(), Client()
        task = server.take(client, Engine(CHUNK, Draining(), delay=0.02))
        await asyncio.sleep(0.03)
        client.taking.clear()
        await task
        assert (client.said, client.aborted) == (CHUNK, True)
        await server.settled()

    live(work)


def test_a_connection_that_does_not_close_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ABORT_WAIT", 0.02)

    async def work() -> None:
        server, client = Server(), Client()
        monkeypatch.setattr(client, "leave", lambda: None)
        await server.take(client, Engine(CHUNK, Draining()))
        assert client.aborted
        await server.settled()

    live(work)


def test_silence_has_a_status_line_and_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "PATIENCE", 0.02)

    async def work() -> None:
        server, client = Server(Timeouts(ping=0.03)), Client()
        await server.take(client, Engine(CHUNK, delay=0.15))
        assert client.status == 200
        assert client.said.startswith(b": keep-alive\n\n: keep-alive\n\n")
        assert client.said.endswith(b": keep-alive\n\n" + CHUNK + DONE)
        await server.settled()

    live(work)


def test_a_late_body_is_told_and_counted() -> None:
    async def work() -> None:
        server, client = Server(Timeouts(body_first=0.02)), Client(b"", whole=False)
        await server.take(client, forever)
        assert (client.status, client.error["code"], server.timers) == (408, "request_timeout", ["body"])
        assert client.headers[b"connection"] == b"close"
        await server.settled()

    live(work)


@pytest.mark.parametrize(("size", "status"), [(100, 200), (101, 413)])
def test_the_limit_of_a_body_is_its_last_byte(size: int, status: int) -> None:
    async def work() -> None:
        server, client = Server(), Client(b"x" * 50, whole=False)
        client.incoming.put_nowait({"type": "http.request", "body": b"x" * (size - 50)})

        async def count(incoming: Incoming) -> Reply:
            return Reply(b"%d" % len(incoming.body))

        await server.take(client, count)
        assert client.status == status
        assert status != 200 or client.said == b"100"
        await server.settled()

    live(work)


def test_a_cancellation_of_others_goes_through() -> None:
    async def work() -> None:
        server, client, engine = Server(), Client(), Engine(*[CHUNK] * 100, delay=0.01)
        task = server.take(client, engine)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert engine.closed == 1
        await server.settled()

    live(work)


def test_the_headers_of_a_fault() -> None:
    def fault(**fields: Any) -> Fault:
        return Fault(type="t", code="c", message="m", **fields)

    plain = [(b"content-type", b"application/json")]
    assert fault_headers(fault(status=400)) == plain
    assert fault_headers(fault(status=429, retry_after=3)) == [*plain, (b"retry-after", b"3")]
    for refused in (fault(status=409), fault(status=504, started=True)):
        assert fault_headers(refused) == [*plain, (b"x-should-retry", b"false")]
    shown = json.loads(render_fault(fault(status=400, param="p")))
    assert shown == {"error": {"message": "m", "type": "t", "param": "p", "code": "c"}}


def test_an_answer_of_its_own_kind() -> None:
    async def work() -> None:
        server, client = Server(), Client()

        async def refuse(_: Incoming) -> Reply:
            raise EdgeError

        await server.take(client, refuse)
        assert (client.status, client.error["code"]) == (500, "internal_error")
        await server.settled()

    live(work)
