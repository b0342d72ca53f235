"""A server's event stream, cut anywhere: what goes on and what is learned of it."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.remote.stream import LARGEST_EVENT, Stream
from backends.remote.unreadable import Unreadable


def chunk(text: str, model: str = "theirs", **more: object) -> bytes:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None} | more
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]}
    return b"data: " + json.dumps(body, separators=(",", ":")).encode() + b"\n\n"


USAGE = b'data: {"id":"x","model":"theirs","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"
PLAIN = chunk("Hello") + chunk(' "model":"theirs" ') + chunk("", finish_reason="stop") + USAGE + DONE


def fed(data: bytes, cuts: list[int], model: str = "theirs") -> tuple[bytes, Stream]:
    stream = Stream(model)
    places = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return b"".join(stream.feed(data[a:b]) for a, b in itertools.pairwise(places)), stream


@given(st.lists(st.integers(0, 10_000), max_size=20), st.booleans(), st.booleans())
def test_wherever_it_is_cut_the_same_comes_out(cuts: list[int], crlf: bool, commented: bool) -> None:
    data = PLAIN
    if commented:
        data = data.replace(b"data: {", b": keep-alive\n\ndata: {")
    if crlf:
        data = data.replace(b"\n", b"\r\n")
    out, stream = fed(data, cuts)
    assert out == PLAIN[: -len(USAGE + DONE)]
    assert stream.done
    assert stream.finished == 1
    assert stream.usage is not None
    assert (stream.usage.usage.prompt, stream.usage.usage.completion) == (3, 2)
    assert stream.usage_event == USAGE


def test_whole_events_are_the_very_bytes_that_came() -> None:
    stream = Stream("theirs")
    block = chunk("a") + chunk("b")
    assert stream.feed(block + b"data: {") == block
    assert stream.pieces == 2


@given(st.lists(st.integers(0, 10_000), max_size=5))
def test_the_models_name_becomes_ours_but_not_in_texts(cuts: list[int]) -> None:
    out, _ = fed(PLAIN, cuts, model='o"urs')
    events = [json.loads(line[6:]) for line in out.decode().split("\n\n") if line]
    assert {event["model"] for event in events} == {'o"urs'}
    assert events[1]["choices"][0]["delta"]["content"] == ' "model":"theirs" '


def test_a_name_with_escapes_and_blanks_is_found() -> None:
    stream = Stream("ours")
    event = b'data: {"model" : "the\\u0069rs", "choices": [{"delta": {"content": "x"}}]}\n\n'
    assert json.loads(stream.feed(event)[6:])["model"] == "ours"


def test_events_over_several_lines_and_without_a_blank_are_put_straight() -> None:
    stream = Stream("theirs")
    assert stream.feed(b'event: x\nid: 1\ndata:{"choices":\ndata: [{}]}\n\n') == b'data: {"choices": [{}]}\n\n'


def test_a_second_usage_replaces_the_first_and_neither_goes_on() -> None:
    stream = Stream("theirs")
    assert stream.feed(USAGE + USAGE.replace(b'"completion_tokens":2', b'"completion_tokens":9')) == b""
    assert stream.usage is not None
    assert stream.usage.completion_tokens == 9


def test_usage_that_comes_with_a_choice_goes_on_in_its_event() -> None:
    stream = Stream("theirs")
    event = b'data: {"choices":[{"index":0}],"usage":{"prompt_tokens":1,"completion_tokens":1}}\n\n'
    assert stream.feed(event) == event
    assert stream.usage is not None
    assert not stream.usage_event


def test_an_error_ends_the_stream() -> None:
    stream = Stream("theirs")
    assert stream.feed(chunk("a") + b'data: {"error":{"message":"broke"}}\n\n' + chunk("b")) == chunk("a")
    assert stream.done
    assert stream.error == b'{"error":{"message":"broke"}}'


def test_nothing_goes_on_after_the_end() -> None:
    stream = Stream("theirs")
    assert stream.feed(DONE + chunk("late")) == b""


@pytest.mark.parametrize(
    "event",
    [
        b"hello\n\n",
        b"data: {\n\n",
        b"data: hello\n\n",
        b'data: {"a":1}\n\n',
        b'data: {"choices":5}\n\n',
        b"data: \xff\n\n",
    ],
)
def test_what_is_no_event_is_refused(event: bytes) -> None:
    with pytest.raises(Unreadable):
        Stream("theirs").feed(event + b"\n\n")


@pytest.mark.parametrize(
    "block",
    [
        b'data: {"choices":[{"index":0}\n\ndata: {"index":1}]}\n\n',
        b'data: {"choices":[{}]}{"choices":[{}]}\n\n',
        b'data: {"choices":[{}]},{"choices":[{}]}\n\n',
        b'data: {"choices":[{"a":{}\n\ndata: {}}]}{"choices":[{}]}\n\n',
        b'data: {"choices":[{}],"a":"}\n\ndata: {"}\n\n',
        b'data: {"choices":[{}]}\n{"choices":[{}]}\n\n',
        b'data: {"choices":[{}],\n"a":1}\n\n',
    ],
)
def test_events_that_are_json_only_together_are_refused(block: bytes) -> None:
    """Events of one read are decoded in one call."""
    for data in (block, block + chunk("a")):
        with pytest.raises(Unreadable):
            Stream("theirs").feed(data)
    stream = Stream("theirs")
    assert stream.feed(chunk("a") + block) == chunk("a")
    assert isinstance(stream.broken, Unreadable)


@pytest.mark.parametrize("count", [1, 2, 30])
def test_what_ordinary_events_say_is_counted(count: int) -> None:
    stream = Stream("theirs")
    block = chunk("}\\n\\ndata: {") * count + chunk("", finish_reason="length")
    assert stream.feed(block) == block
    assert (stream.pieces, stream.finished) == (count + 1, 1)


def test_an_event_is_bounded() -> None:
    stream = Stream("theirs")
    assert stream.feed(b"data: " + b" " * (LARGEST_EVENT - 6)) == b""
    with pytest.raises(Unreadable, match="unbounded"):
        stream.feed(b" ")


def test_texts_that_are_not_utf8_are_refused() -> None:
    with pytest.raises(Unreadable):
        Stream("theirs").feed(chunk("a").replace(b"a", b"\xff", 1))
    assert Stream("theirs").feed(chunk("\u00e9".encode().decode()))


def test_a_byte_order_mark_is_no_part_of_the_first_event() -> None:
    assert Stream("theirs").feed(b"\xef\xbb\xbf" + chunk("a")) == chunk("a")


def test_whatever_the_server_calls_the_model_from_event_to_event_it_is_ours() -> None:
    out, _ = fed(b"".join(chunk("a", model=f"model-{number}") for number in range(4)), [], model="ours")
    assert [json.loads(event[6:])["model"] for event in out.decode().split("\n\n") if event] == ["ours"] * 4


@pytest.mark.parametrize("bad", [b"data: hello\n\n", b'data: {"choices":[{"index":0}],"a":"\xff"}\n\n'])
def test_what_came_before_a_bad_event_is_not_lost_with_it(bad: bytes) -> None:
    stream = Stream("m")
    good = b'data: {"choices":[{"index":0}]}\n\n'
    assert stream.feed(good + bad + good) == good
    assert stream.broken is not None
    assert stream.pieces == 1
