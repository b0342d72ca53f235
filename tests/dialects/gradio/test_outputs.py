"""Outputs that clients read slowly: they go out in pieces, are made once, and what waits is bounded."""

from __future__ import annotations

import ast
import asyncio
import gc
import json
import re
import socket
import weakref
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from openai_proxy.auth import Caller as Owner
from openai_proxy.dialects.gradio.events import Event
from openai_proxy.dialects.gradio.messages import Telling, held, plain
from openai_proxy.dialects.gradio.outputs import PIECE, Output, Room, written
from openai_proxy.errors import ClientSlow
from tests.conftest import servers
from tests.dialects.gradio.calling import CHAT, Caller, said, session
from tests.dialects.gradio.conftest import OPEN
from tests.dialects.gradio.test_queue import kinds, until
from tests.dialects.gradio.test_sockets import HANDSHAKE, KEY, begin, rest

LONG = "\"'\\\n\0é😀" * 100_000


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A server with little room, whose readers have a second to take a piece."""
    config = OPEN.replace("events = 8", "output_bytes = 40_000_000")
    config += '[models.long]\nbackend = "echo"\noptions = { chunks = 10, size = 100_000 }\n'
    with servers(tmp_path_factory.mktemp("gradio-outputs")) as start:
        yield Caller(start(config.replace("ping = 0.3", "ping = 0.3\nsend = 1.0")))


def room_of(most: int) -> Room:
    return Room(lambda: most)


@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
def test_a_text_goes_out_in_pieces(size: int) -> None:
    output = room_of(1).hold("alice", LONG[:size])
    pieces = list(written({"data": [output], "more": "ü"}, b"data: ", b"\n\n"))
    whole = b"".join(pieces)
    assert whole.startswith(b"data: {")
    assert whole.endswith(b"}\n\n")
    assert json.loads(whole.removeprefix(b"data: ")) == {"data": [LONG[:size]], "more": "ü"}
    assert len(pieces) == (1 if size <= PIECE else 2 + -(-size // PIECE))


@pytest.mark.parametrize("texts", [[LONG, LONG], ["\0", LONG, "\\u0000", LONG + "end", "a"], ["\0"]])
def test_several_long_texts_go_out_whole(texts: list[str]) -> None:
    room = room_of(10**9)
    value = {"data": [room.hold("alice", text) for text in texts], "more": "\0"}
    assert json.loads(b"".join(written(value))) == {"data": texts, "more": "\0"}


def test_the_oldest_makes_way() -> None:
    text = "a" * 1000
    size = room_of(1).hold("", text).size
    room = room_of(8 * size)
    mine = [room.hold("alice", text) for _ in range(2)]
    assert [each.dropped for each in mine] == [False, False]
    mine.append(room.hold("alice", text))
    assert [each.dropped for each in mine] == [True, False, False]
    others = [room.hold(name, text) for name in "abcdef"]
    assert not any(each.dropped for each in (*mine[1:], *others))
    others.append(room.hold("g", text))
    assert [each.dropped for each in mine] == [True, True, False]
    assert not any(each.dropped for each in others)
    alone = room_of(1).hold("alice", text)
    assert not alone.dropped
    assert room.sizes.total() == 8 * size
    del mine, others
    assert not room.sizes


def test_what_was_taken_away_is_told() -> None:
    async def work(event: Event) -> str:
        event.says(lambda: LONG)
        first = event.output
        assert first is event.output
        return LONG

    async def run() -> None:
        event = Event(CHAT, {}, Owner("alice"), "", room_of(1))
        await event.run(work)
        *_, done = Telling(event).news()
        pieces = written(done)
        assert next(pieces)
        assert next(pieces)
        event.room.hold("alice", "more")
        with pytest.raises(ClientSlow):
            next(pieces)
        with pytest.raises(ClientSlow):
            list(written(done))
        *_, done = Telling(event).news()
        assert (done["success"], "output" in done) == (False, True)
        assert "waited to be read" in done["output"]["error"]

    asyncio.run(run())


def test_an_event_that_was_left_is_gone_at_once() -> None:
    """Python looks for cycles too seldom: what it held would add up meanwhile."""

    async def run() -> None:
        began = asyncio.Event()

        async def work(event: Event) -> str:
            began.set()
            await asyncio.sleep(60)
            return LONG

        event = Event(CHAT, {}, Owner("alice"), "", room_of(1))
        event.begin(work)
        await began.wait()
        event.cancel()
        assert event.task is not None
        await asyncio.wait([event.task])
        await asyncio.sleep(0)
        left = weakref.ref(event)
        del event
        assert left() is None

    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()


def test_messages_between_processes_are_plain() -> None:
    room, message = room_of(1), {"msg": "process_starts"}
    assert [plain(message)] == held([message], room, "alice") == [message]
    told = {"output": {"data": ["a"], "is_generating": False}}
    mine, again = held([told, told], room, "alice")
    assert isinstance(mine["output"]["data"][0], Output)
    assert mine["output"]["data"][0] is again["output"]["data"][0]
    assert room.sizes["alice"] == mine["output"]["data"][0].size
    assert plain(mine) == told
    assert plain({"output": {"error": "e"}}) == {"output": {"error": "e"}}


LENGTH = 1_000_000
ASKED = str({"instruction": "go on", "visible_models": "long", "stream_output": True, "max_tokens": 1000})


def resident(caller: Caller) -> int:
    """Bytes of memory that the server has."""
    with open(f"/proc/{caller.server.process.pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmRSS"))


def cut(caller: Caller) -> int:
    """How many clients were left as they took nothing."""
    return len(re.findall('"client_(slow|gone)"', caller.server.log.read_text()))


def left_alone(caller: Caller, name: str) -> socket.socket:
    """A stream that nobody reads."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", caller.server.port))
    connection.sendall(f"GET /queue/data?session_hash={name} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return connection


def test_long_outputs_arrive_whole(narrow: Caller) -> None:
    name = session()
    narrow.join(name, ASKED)
    whole = said(narrow.told(name)[-2])["response"]
    assert len(whole) == LENGTH
    assert narrow.api(CHAT, ASKED).dict["response"] == whole
    with narrow.socket(max_size=10 * LENGTH) as talk:
        begin(talk, ASKED)
        assert said(rest(talk)[-1])["response"] == whole
    calls = f"/gradio_api/call/{CHAT}"
    id = narrow.post(calls, {"data": [ASKED]}).json["event_id"]
    *_, last, _ = narrow.get(f"{calls}/{id}").body.split(b"\n\n")
    kind, data = last.split(b"\n")
    assert kind == b"event: complete"
    assert ast.literal_eval(json.loads(data.removeprefix(b"data: "))[0])["response"] == whole


def test_slow_readers_share_little_room(narrow: Caller) -> None:
    """Each output has 3 MB: of twelve that nobody reads three are kept, and who takes nothing is cut."""
    narrow.api(CHAT, ASKED)
    names, before = [session() for _ in range(12)], resident(narrow)
    for name in names:
        narrow.join(name, ASKED)
    with ExitStack() as streams:
        for name in names[:-2]:
            streams.enter_context(left_alone(narrow, name))
        last = narrow.told(names[-1])
        assert len(said(last[-2])["response"]) == LENGTH
        assert resident(narrow) < before + 100_000_000
        until(lambda: cut(narrow) > 0)
    assert kinds(narrow.told(session())) == ["close_stream"]


def message(text: str) -> bytes:
    """A message of a WebSocket, masked with zeros."""
    return b"\x81\xff" + len(text).to_bytes(8) + bytes(4) + text.encode()


def test_a_socket_that_takes_nothing_is_cut(narrow: Caller) -> None:
    before = cut(narrow)
    connection = narrow.connection()
    connection.connect()
    assert connection.sock is not None
    connection.sock.sendall(HANDSHAKE % KEY + message("{}"))
    called = {"data": [ASKED], "fn_index": 0, "session_hash": session()}
    connection.sock.sendall(message(json.dumps(called)))
    assert connection.sock.recv(1000).startswith(b"HTTP/1.1 101")
    until(lambda: cut(narrow) > before)
    connection.close()
