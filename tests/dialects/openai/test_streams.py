"""Streams as OpenAI sends them, through the real SDK and as bytes."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

import openai
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionChunk

from tests.dialects.openai.local import CHAT, COMPLETIONS, Local, chat, completion, connect
from tests.edge import raw
from tests.running import Running

HELLO: Any = [{"role": "user", "content": "one two three four"}]
NASTY = "a\r\nb\nc\rd\u2028e\u2029f\x85g data: [DONE]\n\ndata: {}\n\n: x 👩‍💻 \x00\x1f é"
DONE = b"data: [DONE]\n\n"


@pytest.fixture(scope="module")
def client(echo_server: Running) -> Iterator[openai.OpenAI]:
    with echo_server.client() as open_client:
        yield open_client


def frames(body: bytes) -> list[Any]:
    """The JSON of every event but the last, after checking the framing of all of them."""
    assert body.endswith(DONE)
    assert body.count(DONE) == 1
    events = body.removesuffix(DONE).split(b"\n\n")
    assert events.pop() == b""
    for event in events:
        assert event.startswith(b"data: ")
        assert b"\n" not in event
        assert b"\r" not in event
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


def joined(chunks: Iterable[Any], index: int = 0) -> str:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"] if choice["index"] == index]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_the_order_of_a_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.create(model="echo", messages=HELLO, stream=True) as stream:
        chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert all(chunk.choices[0].delta.role is None for chunk in chunks[1:])
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks}) == 1
    assert chunks[0].object == "chat.completion.chunk"
    assert all(chunk.usage is None for chunk in chunks)


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_usage_comes_only_when_asked_and_last(local: Local, path: str) -> None:
    body = chat(stream=True) if path == CHAT else completion(stream=True)
    without = frames(local.post(path, body).body)
    assert all("usage" not in chunk for chunk in without)
    assert frames(local.post(path, body | {"stream_options": {"include_usage": False}}).body)[-1]["choices"]
    options = {"include_usage": True, "include_obfuscation": True}
    chunks = frames(local.post(path, body | {"stream_options": options}).body)
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["total_tokens"] == 6
    assert len({chunk["id"] for chunk in chunks}) == 1


def test_choices_come_in_turns(client: openai.OpenAI) -> None:
    with client.chat.completions.create(model="echo", messages=HELLO, stream=True, n=3) as stream:
        seen = [chunk.choices[0] for chunk in stream]
    spoken = [choice.index for choice in seen if choice.delta.content]
    assert spoken == [0, 1, 2] * 4
    for index in range(3):
        mine = [choice for choice in seen if choice.index == index]
        assert [choice.delta.role for choice in mine].count("assistant") == 1
        assert mine[0].delta.role == "assistant"
        assert [choice.finish_reason for choice in mine if choice.finish_reason] == ["stop"]
        assert mine[-1].finish_reason == "stop"


def test_pieces_of_tool_calls(client: openai.OpenAI) -> None:
    tools: Any = [{"type": "function", "function": {"name": "f"}}]
    calls = [{"name": "f", "arguments": '{"city": "Zürich", "unit": "\\u2603"}'}, {"name": "f"}]
    with client.chat.completions.create(
        model="echo", messages=HELLO, stream=True, tools=tools, extra_body={"script": {"calls": calls}}
    ) as stream:
        chunks = list(stream)
    assert chunks[-1].choices[0].finish_reason == "tool_calls"
    pieces = [piece for chunk in chunks for piece in chunk.choices[0].delta.tool_calls or ()]
    for position, call in enumerate(calls):
        mine = [piece for piece in pieces if piece.index == position]
        assert mine[0].id
        assert (mine[0].type, mine[0].function and mine[0].function.name) == ("function", "f")
        assert all(piece.id is piece.type is None for piece in mine[1:])
        said = "".join(piece.function.arguments or "" for piece in mine if piece.function)
        assert said == call.get("arguments", "{}")


def test_logprobs_are_where_the_text_is(local: Local) -> None:
    chunks = frames(local.post(CHAT, chat(stream=True, logprobs=True, top_logprobs=1)).body)
    entries = [entry for chunk in chunks for entry in (chunk["choices"][0]["logprobs"] or {"content": []})["content"]]
    assert "".join(entry["token"] for entry in entries) == joined(chunks) == "one two three"
    legacy = frames(local.post(COMPLETIONS, completion(stream=True, logprobs=1)).body)
    found = [chunk["choices"][0]["logprobs"] for chunk in legacy if chunk["choices"][0]["logprobs"]]
    assert [entry["text_offset"] for entry in found] == [[0], [3], [7]]


def test_a_legacy_stream(local: Local) -> None:
    chunks = frames(local.post(COMPLETIONS, completion(prompt=["a b", "c"], stream=True, n=2)).body)
    texts = dict.fromkeys(range(4), "")
    ends = []
    for chunk in chunks:
        choice = chunk["choices"][0]
        texts[choice["index"]] += choice["text"]
        if choice["finish_reason"]:
            ends.append((choice["index"], choice["finish_reason"]))
    assert texts == {0: "a b", 1: "a b", 2: "c", 3: "c"}
    assert ends == [(index, "stop") for index in range(4)]
    assert len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks}) == 1


def test_stop_strings_do_not_leak_across_chunks(local: Local) -> None:
    script = {"text": "hello wonderful world and more"}
    for stop in ("ful wor", " ", "more", "world and more!"):
        body = chat(stream=True, stop=[stop], script=script)
        text = joined(frames(local.post(CHAT, body).body))
        assert text == script["text"].partition(stop)[0]


QUICK = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(
    st.text(max_size=60), st.integers(1, 3), st.none() | st.integers(1, 5), st.lists(st.text(min_size=1, max_size=3))
)
@example(NASTY, 2, None, [])
def test_the_stream_says_what_the_whole_answer_says(
    local: Local, text: str, n: int, most: int | None, stop: list[str]
) -> None:
    body = chat(messages=[{"role": "user", "content": text}], n=n, max_tokens=most, stop=stop[:16])
    whole = local.post(CHAT, body).json["choices"]
    chunks = frames(local.post(CHAT, body | {"stream": True}).body)
    for choice in whole:
        assert joined(chunks, choice["index"]) == choice["message"]["content"]
    ends = [(c["choices"][0]["index"], c["choices"][0]["finish_reason"]) for c in chunks]
    assert [end for end in ends if end[1]] == [(choice["index"], choice["finish_reason"]) for choice in whole]


@settings(QUICK, max_examples=30)
@given(st.text(max_size=60))
@example(NASTY)
@example("data: [DONE]")
def test_any_text_survives_the_sdk(client: openai.OpenAI, text: str) -> None:
    messages: Any = [{"role": "user", "content": text}]
    whole = client.chat.completions.create(model="echo", messages=messages)
    assert whole.choices[0].message.content == text
    with client.chat.completions.create(model="echo", messages=messages, stream=True) as stream:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == text


def test_the_head_of_a_stream(local: Local) -> None:
    answer = local.post(CHAT, chat(stream=True))
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["x-request-id"]
    assert "content-length" not in answer.headers


def test_every_event_is_sent_when_it_happens(client: openai.OpenAI) -> None:
    script = {"script": {"chunks": 4, "delay": 0.15}}
    arrivals = []
    with client.chat.completions.create(model="echo", messages=HELLO, stream=True, extra_body=script) as stream:
        for chunk in stream:
            if chunk.choices[0].delta.content:
                arrivals.append(time.monotonic())
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    assert len(arrivals) == 4
    assert sum(gap > 0.05 for gap in gaps) >= 2


def test_the_response_ends_with_the_end_mark_and_the_connection_lives(echo_server: Running) -> None:
    body = raw.request("POST", CHAT, body=json.dumps(chat(stream=True)).encode(), close=False)
    with connect(echo_server.port) as connection:
        for _ in range(2):
            connection.sendall(body)
            answer = raw.until(connection, b"0\r\n\r\n")
            assert answer.endswith(DONE + b"\r\n0\r\n\r\n")


def test_an_error_before_the_first_event_is_a_status(client: openai.OpenAI) -> None:
    for script in ({"fail": "early"}, {"fail": "late"}):
        with pytest.raises(openai.InternalServerError) as caught:
            client.chat.completions.create(model="echo", messages=HELLO, stream=True, extra_body={"script": script})
        assert caught.value.code == "engine_failed"


def test_an_error_after_it_is_the_last_event(echo_server: Running, client: openai.OpenAI) -> None:
    script = {"fail": "late", "after": 2}
    seen: list[ChatCompletionChunk] = []
    with (
        pytest.raises(openai.APIError) as caught,
        client.chat.completions.create(
            model="echo", messages=HELLO, stream=True, extra_body={"script": script}
        ) as stream,
    ):
        seen.extend(stream)
    assert (caught.value.code, len(seen)) == ("engine_failed", 3)
    with connect(echo_server.port) as connection:
        connection.sendall(raw.chat(fail="late", after=2, chunks=5))
        answer = raw.everything(connection)
    assert b"[DONE]" not in answer
    assert not answer.endswith(b"0\r\n\r\n")
    last = json.loads(answer.rpartition(b"data: ")[2].split(b"\n")[0])["error"]
    assert last["code"] == "engine_failed"
    assert raw.head_of(answer)["x-request-id"] in last["message"]


@pytest.mark.slow
def test_a_late_first_event_has_its_status_line_after_a_second_and_comments(echo_server: Running) -> None:
    with connect(echo_server.port) as connection:
        began = time.monotonic()
        connection.sendall(raw.chat(first_delay=1.6, chunks=1))
        head = raw.until(connection, b": keep-alive\n\n")
        waited = time.monotonic() - began
        assert b"data:" not in head
        rest = raw.until(connection, DONE)
    assert 0.9 < waited < 1.6
    assert raw.status(head) == 200
    assert rest.count(b"data: ") == 4
