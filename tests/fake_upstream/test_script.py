"""The script, what was seen, and everything else that is not an answer's content."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import openai
import pytest

from openai_proxy.fake_upstream import Script
from openai_proxy.fake_upstream.script import of_header
from tests.edge.raw import everything, get, head_of, request, status, until
from tests.fake_upstream.raw import asked, body_of, chat, connected, contents, events, unchunked
from tests.upstream import Upstream, inside, threaded

QUESTION: Any = [{"role": "user", "content": "hello"}]


def series(fake: Upstream) -> dict[str, float]:
    """The gauges of the model `fake`."""
    lines = asked(fake, get("/metrics")).decode().splitlines()
    label = '{engine="0",model_name="fake"} '
    return {name: float(value) for name, found, value in (line.partition(label) for line in lines) if found}


def test_a_header_tells_how() -> None:
    script = of_header(Script(chunks=3), "delay=0.5, fault=no-done,probes=true,text=")
    assert script == Script(chunks=3, delay=0.5, fault="no-done", probes=True)
    assert of_header(Script(), '{"text": "a,b", "gauges": {"x": 1}}') == Script(text="a,b", gauges={"x": 1.0})
    for wrong in ("chunks=-1", "nonsense=1", "fault=nonsense", "{", "delay=x", "chunks"):
        with pytest.raises(ValueError, match=r"chunks|nonsense|Input|delay|float|int"):
            of_header(Script(), wrong)


def test_a_fault_of_ones_own_always_strikes() -> None:
    sparing = Script(fault="no-done", fault_every=10)
    assert of_header(sparing, "chunks=1").active(1).name == ""
    assert of_header(sparing, "fault=no-done").active(1).name == "no-done"


def test_a_wrong_script_is_told(fake: Upstream) -> None:
    answer = asked(fake, chat(script="fault=nonsense"))
    assert status(answer) == 400
    assert "there is no fault 'nonsense'" in json.loads(body_of(answer))["error"]["message"]
    with pytest.raises(AssertionError, match="there is no fault"):
        fake.script(fault="nonsense")
    assert status(asked(fake, request("POST", "/fake/script", body=b"[]"))) == 400
    assert status(asked(fake, request("GET", "/fake/nothing"))) == 404


def test_the_pace(fake: Upstream) -> None:
    begin = time.monotonic()
    with connected(fake) as connection:
        connection.sendall(chat(script="chunks=5,first=0.2,pause=0.2,delay=0.05"))
        connection.recv(10)
        assert time.monotonic() - begin >= 0.19
        until(connection, b"0000000 ")
        assert time.monotonic() - begin >= 0.39
        everything(connection)
        assert time.monotonic() - begin >= 0.59
    begin = time.monotonic()
    assert status(asked(fake, get("/v1/models", "x-fake: latency=0.1,first=60"))) == 200
    assert 0.09 <= time.monotonic() - begin < 60


def test_several_chunks_a_write(fake: Upstream) -> None:
    assert len(contents(events(unchunked(asked(fake, chat(script="chunks=7,batch=3")))))) == 7
    assert fake.seen().last[0].writes == 7  # head, opening, three of chunks, end, last chunk


def test_some_requests_alone(fake: Upstream) -> None:
    fake.script(fault="status-500", fault_every=3)
    assert [status(asked(fake, chat())) for _ in range(6)] == [200, 200, 500, 200, 200, 500]
    fake.script(fault_rate=0.4)
    assert [status(asked(fake, chat())) for _ in range(5)] == [200, 200, 500, 200, 500]
    assert fake.seen().faults == {"status-500": 4}
    assert fake.script(fault=None)["fault_rate"] == 0.4


def test_probes_are_spared_unless_told(fake: Upstream) -> None:
    fake.script(fault="status-503")
    probes = ("/v1/models", "/health", "/metrics")
    assert [status(asked(fake, get(path))) for path in probes] == [200] * 3
    fake.script(probes=True)
    assert [status(asked(fake, get(path))) for path in probes] == [503] * 3
    fake.script(fault=None, health=500)
    assert [status(asked(fake, get(path))) for path in probes] == [200, 500, 200]


def test_headers_of_ones_own(fake: Upstream) -> None:
    fake.script(headers={"set-cookie": "a=b"})
    assert head_of(asked(fake, chat()))["set-cookie"] == "a=b"
    with pytest.raises(AssertionError, match="single lines"):
        fake.script(headers={"a": "b\r\nc: d"})


def test_connections_that_serve_once(fake: Upstream) -> None:
    for stream in (True, False):
        answer = asked(fake, chat(script="close=true", stream=stream, close=False))
        assert head_of(answer)["connection"] == "close"


def test_connections_serve_again(fake: Upstream) -> None:
    with connected(fake) as connection:
        connection.sendall(chat(close=False) + chat(close=False, stream=False) + chat())
        received = everything(connection)
    assert received.count(b"HTTP/1.1 200 OK") == 3
    assert received.count(b"data: [DONE]") == 2
    assert len({each.connection for each in fake.seen().last}) == 1


def test_old_clients_get_no_chunks(fake: Upstream) -> None:
    answer = asked(fake, chat(close=False).replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert "transfer-encoding" not in head_of(answer)
    assert len(contents(events(body_of(answer)))) == 16


def test_what_is_no_request(fake: Upstream) -> None:
    assert status(asked(fake, b"nonsense\r\n\r\n")) == 400
    with connected(fake) as connection:
        ask = chat("Expect: 100-continue")
        head, _, body = ask.partition(b"\r\n\r\n")
        connection.sendall(head + b"\r\n\r\n")
        until(connection, b"100 Continue\r\n\r\n")
        connection.sendall(body)
        assert status(everything(connection)) == 200


def test_what_was_seen(fake: Upstream) -> None:
    asked(fake, chat("Authorization: Bearer abc", "X-Twice: 1", "X-Twice: 2"))
    asked(fake, get("/v1/models?a=b"))
    asked(fake, get("/health"))
    seen = fake.seen()
    assert (seen.requests, seen.answered, seen.running, seen.opened) == (3, 3, 0, 3)
    assert seen.paths == {"/v1/chat/completions": 1, "/v1/models": 1, "/health": 1}
    first, second = seen.last
    assert first.json["messages"] == QUESTION
    assert first.header("authorization") == "Bearer abc"
    assert [value for name, value in first.headers if name == "x-twice"] == ["1", "2"]
    assert (first.method, first.size, first.end) == ("POST", len(first.body), "answered")
    assert first.ended is not None
    assert first.began <= first.ended <= seen.now
    assert (second.path, second.query) == ("/v1/models", "a=b")
    assert [each.number for each in fake.seen(last=1).last] == [second.number]
    assert fake.seen(last=0).last == []
    fake.reset()
    assert (fake.seen().requests, fake.seen().last) == (0, [])


def test_clients_that_leave(fake: Upstream) -> None:
    with connected(fake) as connection:
        connection.sendall(chat(script="chunks=1000,delay=0.01"))
        until(connection, b"0000003 ")
        left = time.monotonic()
    (aborted,) = fake.wait_for(lambda seen: seen.aborted).aborted
    assert (aborted.path, aborted.writes >= 6) == ("/v1/chat/completions", True)
    assert left <= aborted.at < left + 5
    assert fake.seen().last[0].end == "aborted"


def test_slots_and_gauges(fake: Upstream) -> None:
    fake.script(slots=2, fault="stall-after-1", gauges={"vllm:other": 0.5})
    busy = [connected(fake) for _ in range(4)]
    for connection in busy:
        connection.sendall(chat())
    fake.wait_for(lambda seen: seen.running == 2 and seen.waiting == 2)
    told = series(fake)
    assert told == {
        "vllm:num_requests_running": 2,
        "vllm:num_requests_waiting": 2,
        "vllm:kv_cache_usage_perc": 1,
        "vllm:other": 0.5,
    }
    busy[3].close()  # waits
    fake.wait_for(lambda seen: seen.running == 2 and seen.waiting == 1)
    busy[0].close()  # runs
    fake.wait_for(lambda seen: seen.running == 2 and seen.waiting == 0)
    until(busy[2], b"0000000 ")
    for connection in busy:
        connection.close()
    assert len(fake.wait_for(lambda seen: seen.running == 0).aborted) == 4


def test_a_key(fake: Upstream) -> None:
    with threaded(key="secret", name="replica-1") as locked:
        with pytest.raises(openai.AuthenticationError) as caught:
            locked.client(api_key="wrong").models.list()
        assert caught.value.code == "invalid_api_key"
        answer = locked.client(api_key="secret").chat.completions.with_raw_response.create(
            model="fake", messages=QUESTION
        )
        assert answer.headers["x-upstream"] == answer.parse().system_fingerprint == "replica-1"
        assert status(asked(locked, get("/health"))) == 200
        assert locked.seen().requests == 3


def test_any_model() -> None:
    with threaded(models=("*",)) as fake:
        assert fake.client().chat.completions.create(model="what/ever", messages=QUESTION).model == "what/ever"
        assert fake.client().models.list().data == []


def test_inside_ones_own_loop() -> None:
    async def ask() -> None:
        async with inside(script=Script(chunks=2)) as fake:
            client = openai.AsyncOpenAI(base_url=fake.base_url, api_key="none", max_retries=0)
            answer = await client.chat.completions.create(model="fake", messages=QUESTION)
            assert answer.usage is not None
            assert answer.usage.completion_tokens == 2
            assert (await fake.wait(lambda seen: seen.answered)).last[0].path == "/v1/chat/completions"
            await client.close()

    asyncio.run(ask())


def test_what_is_listed_can_be_said(fake: Upstream) -> None:
    fake.script(listed=[{"id": "a", "max_model_len": 16}, {"id": "b", "owned_by": "me"}])
    listed = fake.client().models.list().data
    assert [(each.id, each.owned_by) for each in listed] == [("a", "fake"), ("b", "me")]
    assert listed[0].model_dump()["max_model_len"] == 16
