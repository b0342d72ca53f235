"""The queue as newer clients use it: events, the stream that tells of them, cancel, and what bounds them."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable
from typing import Any

import pytest

from openai_proxy.auth import NOBODY
from openai_proxy.config import Config
from openai_proxy.dialects.gradio.events import Event
from openai_proxy.dialects.gradio.outputs import Room
from openai_proxy.dialects.gradio.sessions import GRACE, SWEEP, News, Question, Session, Sessions
from openai_proxy.dialects.gradio.streams import told
from openai_proxy.errors import QueueFull
from openai_proxy.settings.protocols import GradioSettings
from tests.dialects.gradio.calling import CHAT, Caller, Keyed, said, session

WORDS = "one two three four five six seven eight nine ten"


def until(fits: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not fits():
        assert time.monotonic() < end
        time.sleep(0.05)


def state(caller: Caller, id: str) -> str:
    """How the job of an event stands; "" before it is there."""
    answer = caller.get(f"/admin/jobs/{id}")
    return str(answer.json["state"]) if answer.status == 200 else ""


def kinds(messages: list[dict[str, Any]]) -> list[str]:
    """What they are, each once where several follow one another."""
    found = [message["msg"] for message in messages]
    return [each for number, each in enumerate(found) if found[number - 1 : number] != [each]]


@pytest.mark.parametrize("at", ["/gradio_api", ""])
def test_a_stream_tells_all_of_an_event(opened: Caller, at: str) -> None:
    name = session()
    given = {"instruction_nochat": WORDS, "stream_output": True, "visible_models": "slow"}
    id = opened.join(name, str(given), at=at).json["event_id"]
    messages = opened.told(name, at)
    whole = ["estimation", "process_starts", "process_generating", "process_completed", "close_stream"]
    assert kinds(messages) == whole
    assert {message["event_id"] for message in messages[:-1]} == {id}
    assert (messages[0]["rank"], messages[0]["queue_size"]) == (0, 1)
    assert "rank_eta" in messages[0]
    outputs = [said(message) for message in messages if "output" in message]
    texts = [output["response"] for output in outputs]
    assert len(texts) > 5
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert outputs[-1] == outputs[-2]
    assert [output["save_dict"] for output in outputs[:-2]] == [{}] * len(outputs[:-2])
    assert outputs[-1]["save_dict"]["extra_dict"]["finish_reason"] == "stop"
    assert [message["success"] for message in messages if "output" in message] == [True] * len(outputs)
    assert messages[-2]["output"]["is_generating"] is False
    assert state(opened, id) == "succeeded"


def test_an_event_that_does_not_stream_has_one_output(opened: Caller) -> None:
    name = session()
    opened.event(name, instruction_nochat="hello", stream_output=False)
    messages = opened.told(name)
    assert kinds(messages) == ["estimation", "process_starts", "process_completed", "close_stream"]
    assert said(messages[-2])["response"] == "hello"


def test_a_stream_may_be_there_first_and_tells_of_several(opened: Caller) -> None:
    name = session()
    with opened.stream(name) as stream:
        ids = [opened.event(name, instruction_nochat=f"q{number}") for number in range(4)]
        messages = list(stream)
    done = {each["event_id"]: said(each)["response"] for each in messages if each["msg"] == "process_completed"}
    assert done == {id: f"q{number}" for number, id in enumerate(ids)}
    assert messages[-1]["msg"] == "close_stream"


def test_a_later_stream_takes_the_place_of_an_earlier_one(opened: Caller) -> None:
    name = session()
    opened.event(name, instruction_nochat=WORDS, stream_output=True, visible_models="slow")
    with opened.stream(name) as first:
        assert next(first)["msg"] == "estimation"
        assert kinds(opened.told(name))[-2:] == ["process_completed", "close_stream"]
        assert "process_completed" not in kinds(list(first))


def test_failures_end_an_event(opened: Caller) -> None:
    name = session()
    opened.event(name, instruction_nochat=WORDS, visible_models="broken")
    opened.event(name, instruction_nochat=WORDS, visible_models="nobody")
    opened.event(name, instruction_nochat=WORDS, temperature="hot")
    opened.event(name, instruction_nochat=WORDS, langchain_action="Sing")
    assert opened.join(name, "{'instruction_nochat': open('/etc/passwd').read()}").status == 200
    done = [each for each in opened.told(name) if each["msg"] == "process_completed"]
    assert [each["success"] for each in done] == [False] * 5
    assert {each["title"] for each in done} == {"Error"}
    errors = sorted(each["output"]["error"] for each in done)
    assert [len(each) > 10 for each in errors] == [True] * 5
    assert any("nobody" in each for each in errors)
    assert any("temperature" in each for each in errors)
    assert not any("root:" in each for each in errors)


def test_positions_in_the_queue_and_cancel(opened: Caller) -> None:
    name = session()
    ids = [opened.event(name, instruction_nochat=WORDS, stream_output=True, visible_models="stalled") for _ in range(3)]
    ranks: dict[str, list[int]] = {}
    done: dict[str, Any] = {}
    with opened.stream(name) as stream:
        for message in stream:
            if message["msg"] == "estimation":
                ranks.setdefault(message["event_id"], []).append(message["rank"])
            if message["msg"] == "process_completed":
                done[message["event_id"]] = message
            if ranks.get(ids[2]) == [1] or (ids[0] in done and len(done) < 3):
                wanted = next(id for id in ids if id not in done)
                body = {"fn_index": 0, "session_hash": name, "event_id": wanted}
                assert opened.post("/gradio_api/cancel", body).json == {"success": True}
                done.setdefault(wanted, None)
                ranks[ids[2]].append(-1)
    assert ranks[ids[1]][0] == 0
    assert ranks[ids[2]][0] == 1
    assert [done[id]["success"] for id in ids] == [False] * 3
    assert {done[id]["output"]["error"] for id in ids} == {"The event was canceled."}
    until(lambda: {state(opened, id) for id in ids} <= {"canceled", ""})
    assert state(opened, ids[0]) == "canceled"


def test_the_job_of_a_client_that_left_is_stopped(opened: Caller) -> None:
    name = session()
    id = opened.event(name, instruction_nochat=WORDS, stream_output=True, visible_models="stalled")
    with opened.stream(name) as stream:
        assert any(message["msg"] == "process_generating" for message in stream)
        assert state(opened, id) == "running"
    until(lambda: state(opened, id) == "canceled", 2)


def test_heartbeats_while_nothing_happens(opened: Caller) -> None:
    name = session()
    opened.event(name, instruction_nochat=WORDS, visible_models="stalled")
    connection = opened.connection()
    connection.request("GET", f"/queue/data?session_hash={name}")
    response = connection.getresponse()
    lines = [response.readline() for _ in range(10)]
    assert lines.count(b'data: {"msg":"heartbeat"}\n') >= 2
    assert set(lines[1::2]) == {b"\n"}
    connection.close()
    beats = opened.connection()
    beats.request("GET", f"/heartbeat/{name}")
    assert beats.getresponse().readline() == b'data: {"msg":"heartbeat"}\n'
    beats.close()


def test_a_session_has_only_so_many_events(opened: Caller) -> None:
    name = session()
    for _ in range(8):
        opened.event(name, instruction_nochat=WORDS, visible_models="stalled")
    answer = opened.join(name, "{'instruction_nochat': 'one more'}")
    assert answer.status == 503
    assert "at most 8 events" in answer.json["detail"]
    assert opened.post("/cancel", {"session_hash": name}).json == {"success": True}
    assert [each["success"] for each in opened.told(name) if each["msg"] == "process_completed"] == [False] * 8


def test_a_session_needs_a_name(opened: Caller) -> None:
    for hash in (None, "", "a" * 129):
        assert opened.post("/queue/join", {"data": ["{}"], "fn_index": 0, "session_hash": hash}).status == 400
        assert opened.get(f"/queue/data?session_hash={hash or ''}").status == 400
    assert opened.get("/queue/data").status == 400
    assert opened.get("/queue/data?" + "a=b&" * 20).status == 400
    assert opened.join("a" * 128, "{'instruction': 'hello'}").status == 200


def test_what_is_no_api_name(opened: Caller) -> None:
    for index in (-1, 12, 10**18, None):
        assert opened.join(session(), "{}", index=index).status == 404  # type: ignore[arg-type]
    assert opened.join(session(), "{}", index="0").status == 400  # type: ignore[arg-type]
    assert opened.post("/gradio_api/queue/join", b"[" * 100_000).status == 400
    assert opened.post("/gradio_api/upload", b"{}").status == 404
    assert opened.post("/api/add_file_api", {"data": []}).status in (404, 405)


def test_one_call_and_its_own_stream(opened: Caller) -> None:
    calls = f"/gradio_api/call/{CHAT}"
    given = str({"instruction_nochat": WORDS, "stream_output": True, "visible_models": "slow"})
    id = opened.post(calls, {"data": [given]}).json["event_id"]
    events = opened.get(f"{calls}/{id}").body.decode().split("\n\n")
    assert events.pop() == ""
    pairs = [event.split("\n") for event in events]
    names = [name for name, _ in pairs]
    assert names[-1] == "event: complete"
    assert names.count("event: generating") > 3
    assert set(names) <= {"event: generating", "event: complete", "event: heartbeat"}
    assert pairs[-1][1].startswith('data: ["{')
    assert opened.get(f"{calls}/{id}").status == 404
    id = opened.post(calls, {"data": ["nothing"]}).json["event_id"]
    *_, last = opened.get(f"{calls}/{id}").body.decode().split("\n\n")[:-1]
    assert last.startswith('event: error\ndata: {"error":"')
    assert opened.get(f"{calls}/{session()}").status == 404


def test_nobody_reads_the_events_of_others(keyed: Keyed) -> None:
    name = session()
    alice, bob = keyed.by(authorization=f"Bearer {keyed.alice}"), keyed.by(authorization=f"Bearer {keyed.bob}")
    alice.event(name, instruction_nochat="secret")
    assert kinds(bob.told(name)) == ["close_stream"]
    assert bob.post("/cancel", {"session_hash": name}).json == {"success": False}
    assert keyed.get(f"/queue/data?session_hash={name}").status == 401
    assert said(alice.told(name)[-2])["response"] == "secret"
    calls = f"/gradio_api/call/{CHAT}"
    id = alice.post(calls, {"data": ["{'instruction': 'secret'}"]}).json["event_id"]
    assert bob.get(f"{calls}/{id}").status == 404
    assert keyed.get(f"{calls}/{id}").status == 401
    assert b"secret" in alice.get(f"{calls}/{id}").body


async def nobody(question: object) -> tuple[()]:
    """The other processes, where there are none."""
    return ()


async def work(event: Event) -> str:
    return "done"


def sessions_of(**settings: int) -> Sessions:
    config = Config(gradio=GradioSettings(**settings))
    return Sessions(lambda: config, Room(lambda: 1000), lambda: False, nobody)


def event_in(sessions: Sessions) -> Event:
    return Event("system_hash", {}, NOBODY, "", sessions.room)


def test_a_session_costs_nobody_else_one() -> None:
    async def joined(sessions: Sessions, owner: str, *names: int) -> None:
        for name in names:
            event = event_in(sessions)
            await event.run(work)
            sessions.join((owner, str(name)), event)

    async def run() -> None:
        sessions = sessions_of(sessions=20, key_sessions=5)
        await joined(sessions, "alice", *range(5))
        await joined(sessions, "", *range(40))
        assert [("alice", "0") in sessions, ("", "38") in sessions, ("", "37") in sessions] == [True, True, False]
        await joined(sessions, "bob", *range(6))
        assert [("bob", "1") in sessions, ("bob", "0") in sessions] == [True, False]
        await joined(sessions, "alice", 5)
        assert [("alice", "1") in sessions, ("alice", "0") in sessions] == [True, False]

    asyncio.run(run())


def test_sessions_of_one_key_are_bounded() -> None:
    async def run() -> None:
        sessions = sessions_of(sessions=20, key_sessions=5)
        for name in range(5):
            sessions.join(("alice", str(name)), event_in(sessions))
        with pytest.raises(QueueFull):
            sessions.join(("alice", "5"), event_in(sessions))
        sessions.join(("alice", "4"), event_in(sessions))
        sessions.join(("bob", "5"), event_in(sessions))

    asyncio.run(run())


def test_sessions_are_bounded_and_forgotten() -> None:
    async def run() -> None:
        sessions = sessions_of(sessions=1, events=1)
        first, second = event_in(sessions), event_in(sessions)
        sessions.join(("", "a"), first)
        for place in (("", "a"), ("", "b")):
            with pytest.raises(QueueFull):
                sessions.join(place, second)
        await first.run(work)
        sessions.join(("", "b"), second)
        assert ("", "a") not in sessions
        await second.run(work)
        session = Session()
        session.add(second)
        second.began -= 1  # its client knows it by now
        lost = session.sent("a", ())
        assert [message["msg"] for message in lost.messages][-1] == "process_completed"
        assert lost.messages[-1]["output"]["data"] == ["done"]
        again = session.sent("a", ())
        assert again.messages == lost.messages
        assert session.sent("b", ()).messages == []
        assert session.sent("b", (again.name,)).messages == []

    asyncio.run(run())


def test_what_was_told_ends_soon_and_what_was_not_later() -> None:
    async def run() -> None:
        sessions, stream = sessions_of(), object()
        told, untold = event_in(sessions), event_in(sessions)
        sessions.join(("", "a"), told)
        session = sessions.open(("", "a"), stream)
        assert list(session.news())
        sessions.join(("", "a"), untold)
        sessions.close(("", "a"), stream)
        session.end(late=True)
        assert set(session.events) == {told.id, untold.id}
        session.go_on(-1.0)
        session.end(late=True)
        assert set(session.events) == {untold.id}

    asyncio.run(run())


def test_a_stream_of_another_process_may_be_silent_but_not_left() -> None:
    async def run() -> None:
        sessions, place = sessions_of(), ("", "a")
        event = event_in(sessions)
        sessions.join(place, event)
        event.began -= 1  # its client knows it by now
        news = sessions.answer(Question("news", place, stream="b"))
        assert isinstance(news, News)
        assert news.messages
        await asyncio.sleep(GRACE + 3 * SWEEP)
        assert place in sessions
        sessions.answer(Question("left", place, stream="a"))
        await asyncio.sleep(GRACE + 3 * SWEEP)
        assert place in sessions
        sessions.answer(Question("left", place, stream="b"))
        await asyncio.sleep(GRACE + 3 * SWEEP)
        assert place not in sessions

    asyncio.run(run())


def test_a_stream_ends_only_when_no_process_has_events() -> None:
    asked: list[str] = []

    async def other(question: Question) -> list[Any]:
        asked.append(question.what)
        return [News()] if question.what == "news" else [int(asked.count("count") == 1)]

    async def run() -> None:
        sessions = Sessions(Config, Room(lambda: 1000), lambda: False, other)
        found = [message["msg"] async for message in told(sessions, ("", "a"), 0.01, together=True)]
        assert found == ["heartbeat", "close_stream"]
        assert asked.count("count") == 2

    asyncio.run(run())
