"""JSON bodies: what passes, what does not, and that refusing costs no more than reading."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Annotated, Any, Literal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from openai_proxy.decode import DEEPEST, OFF_LOOP, decode, decode_now
from openai_proxy.errors import InvalidJson, InvalidRequest, UnknownParameter


class Cat(Struct, tag="cat", forbid_unknown_fields=True):
    lives: int


class Dog(Struct, tag="dog", forbid_unknown_fields=True):
    name: str


class Renamed(Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    name: str
    from_: int


class Body(Struct, forbid_unknown_fields=True, rename={"from_": "from"}):
    n: int | None = None
    text: str | list[str] | None = None
    ids: list[Annotated[int, Meta(ge=0)]] | None = None
    any_: dict[str, Any] | None = None
    pets: list[Cat | Dog] | None = None
    pet: Cat | None = None
    mode: Literal["a", "b"] | None = None
    named: dict[str, Annotated[float, Meta(le=1)]] | None = None
    from_: str | None = None
    renamed: Renamed | None = None


def refused(body: bytes) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode_now(body, Body)
    assert len(caught.value.message) <= 400
    return caught.value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b"{}x",
        b"[",
        b"nul",
        b"{'n':1}",
        b'{"n":01}',
        b'{"n":NaN}',
        b'{"any_":{"x":Infinity}}',
        b'{"any_":{"x":-Infinity}}',
        b'{"any_":{"x":1e999}}',
        b'{"n":1,}',
        b'{"text":"\xff"}',
        b'{"text":"\xed\xa0\x80"}',
        b'{"text":"\\ud800"}',
        b'{"text":"\\udc00\\ud800"}',
        b'{"any_":{"\\ud800":1}}',
        b'{"text":"\x01"}',
        b'{"n":1,"text":5,"\xff":1}',
        b"\xff\xfe{\x00}\x00",
        b"\xef\xbb\xbf{}",
        b'{"any_":{"x":9223372036854775808}}',
        b'{"any_":{"x":[-9223372036854775809]}}',
        b'{"any_":{"x":' + b"1" * 5000 + b"}}",
        b'{"any_":' + b'{"a":' * 64 + b"1" + b"}" * 65,
        b'{"any_":{"a":' + b"[" * 5000 + b"]" * 5000 + b"}}",
        b"[" * 1_000_000,
        b'{"x":' * 100_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_what_is_not_json_or_too_much(body: bytes) -> None:
    error = refused(body)
    assert isinstance(error, InvalidJson)
    assert error.param is None


@pytest.mark.parametrize(
    "body",
    [
        b'{"n":1,"n":1}',
        b'{"n":12,"n":1}',
        b'{"n":1,"n":12}',
        b'{"n":1, "text":"x", "\\u006e" : 2}',
        b'{"n":1,"text":{"n":1},"n":2}'.replace(b'{"n":1},', b'"\\"n\\":1",'),
        b'{"n":null,"n":null,"n":null}',
    ],
)
def test_a_name_stands_once(body: bytes) -> None:
    error = refused(body)
    assert isinstance(error, InvalidJson)
    assert error.param == "n"


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'{"n":9223372036854775807}', Body(n=2**63 - 1)),
        (b'{"any_":{"x":-9223372036854775808}}', Body(any_={"x": -(2**63)})),
        (b'{"any_":{"x":0.12345678901234567890123}}', Body(any_={"x": 0.12345678901234567890123})),
        (b'{"any_":{"x":12345678901234567890123e-5}}', Body(any_={"x": 12345678901234567890123e-5})),
        (b'{"text":"12345678901234567890"}', Body(text="12345678901234567890")),
        (b'{"text":"\\ud83d\\ude00 \\u0000"}', Body(text="😀 \x00")),
        (b' \r\n\t{ "n" : 1 , "text" : "\\"n\\":" } ', Body(n=1, text='"n":')),
        (b'{"text":"n","n":1}', Body(n=1, text="n")),
        (b'{"from":"x"}', Body(from_="x")),
        (b'{"text":' + json.dumps("[{" * 100).encode() + b"}", Body(text="[{" * 100)),
        (b'{"any_":{"n":1,"n":2}}', Body(any_={"n": 2})),
    ],
    ids=lambda case: repr(case)[:40],
)
def test_what_passes(body: bytes, value: Body) -> None:
    assert decode_now(body, Body)[0] == value


def test_depth_is_counted_in_brackets() -> None:
    def nested(depth: int) -> bytes:
        return b'{"any_":{"a":' + b"[" * (depth - 2) + b"]" * (depth - 2) + b"}}"

    decode_now(nested(DEEPEST), Body)
    assert "64 levels" in refused(nested(DEEPEST + 1)).message
    wide = b'{"any_":{"a":[' + b",".join([b"[[]]"] * 1000) + b"]}}"
    decode_now(wide, Body)


@pytest.mark.parametrize("long", ["x" * OFF_LOOP, '[{\\"' * OFF_LOOP], ids=["plain", "escaped"])
def test_bounds_hold_in_large_bodies(long: str) -> None:
    def large(value: str) -> bytes:
        return b'{"text":%b,"any_":{"a":%b}}' % (json.dumps(long).encode(), value.encode())

    assert decode_now(large(f'["{"9" * 20}", {2**63 - 1}]'), Body)[0].text == long
    assert "64 levels" in refused(large("[" * 63 + "]" * 63)).message
    assert "64 bits" in refused(large(f'["a", {2**64}]')).message


@pytest.mark.parametrize(
    ("body", "whole"), [(b'{ "n":1}', True), (b'{"n":1,"text":null}', False), (b'{"text":"null"}', True)]
)
def test_the_whole_body_is_given_where_it_says_no_more(body: bytes, whole: bool) -> None:
    assert decode_now(body, Body)[1].body == (body if whole else None)


@pytest.mark.parametrize(
    ("body", "param", "kind"),
    [
        (b"[]", None, InvalidJson),
        (b'"x"', None, InvalidJson),
        (b"5", None, InvalidJson),
        (b'{"n":"1"}', "n", InvalidRequest),
        (b'{"n":true}', "n", InvalidRequest),
        (b'{"text":["a",5]}', "text.1", InvalidRequest),
        (b'{"text":{}}', "text", InvalidRequest),
        (b'{"ids":[1,2,-1,3]}', "ids.2", InvalidRequest),
        (b'{"pets":[{"type":"cat","lives":"x"}]}', "pets.0.lives", InvalidRequest),
        (b'{"pets":[{"type":"cat"}]}', "pets.0.lives", InvalidRequest),
        (b'{"pets":[{"type":"cow"}]}', "pets.0.type", InvalidRequest),
        (b'{"pets":[{"type":["cow"]}]}', "pets.0.type", InvalidRequest),
        (b'{"pets":[{}]}', "pets.0.type", InvalidRequest),
        (b'{"pets":[{"type":"dog","name":"x","lives":1}]}', "pets.0.lives", UnknownParameter),
        (b'{"mode":"c"}', "mode", InvalidRequest),
        (b'{"named":{"a":1,"b":2}}', "named.b", InvalidRequest),
        (b'{"m":1}', "m", UnknownParameter),
        (b'{"from_":"x"}', "from_", UnknownParameter),
        (b'{"":1}', "", UnknownParameter),
        (b'{"from":5}', "from", InvalidRequest),
        (b'{"renamed":{"from":1}}', "renamed.name", InvalidRequest),
    ],
)
def test_the_place_of_what_is_wrong(body: bytes, param: str | None, kind: type[InvalidRequest]) -> None:
    error = refused(body)
    assert (error.param, type(error)) == (param, kind)


def test_what_it_may_be_is_told() -> None:
    assert refused(b'{"mode":"c"}').message == "mode: Invalid enum value 'c'. Valid are: a, b."
    assert refused(b'{"mode":5}').message.endswith(" Valid are: a, b.")
    assert "Valid" not in refused(b'{"mode":["a"]}').message + refused(b'{"n":"a"}').message


def test_a_mistyped_name_may_be_one_of_others() -> None:
    with pytest.raises(UnknownParameter, match="Did you mean 'new_modes'"):
        decode_now(b'{"new_mode":1}', Body, others=("new_modes",))
    assert "Did you mean 'mode'" in refused(b'{"modes":1}').message


def test_little_of_the_input_comes_back() -> None:
    secret = "s" * 100_000
    for body in ({"mode": secret}, {secret: 1}, {"named": {secret: 2}}, {"pets": [{"type": secret}]}):
        error = refused(json.dumps(body).encode())
        assert error.message.count("s") < 200
        assert len(error.param or "") <= 200


EXPENSIVE = {
    "names": b"{" + b",".join(b'"x%d":1' % number for number in range(150_000)) + b"}",
    "a repeated name": b"{" + b",".join([b'"n":1'] * 150_000) + b"}",
    "numbers": b'{"ids":[' + b"1," * 500_000 + b"-1]}",
    "texts": b'{"text":[' + b'"",' * 500_000 + b"1]}",
    "pairs": b'{"named":{' + b",".join(b'"%d":1' % number for number in range(100_000)) + b',"x":2}}',
    "a long name": b'{"' + b"a" * 2_000_000 + b'":1}',
    "brackets": b'{"any_":{"a":' + b"[" * 900 + b"]" * 900 + b',"b":[' + b"[]," * 300_000 + b"[]]}}",
    "digits": b'{"any_":{"a":' + b"1" * 2_000_000 + b"}}",
    "quotes": b'{"text":"' + b'\\"' * 1_000_000 + b'","n":"x"}',
}


@pytest.mark.parametrize("name", EXPENSIVE)
def test_refusing_is_as_cheap_as_reading(name: str) -> None:
    began = time.process_time()
    refused(EXPENSIVE[name])
    assert time.process_time() - began < 2


def test_large_bodies_are_decoded_off_the_loop() -> None:
    text = "x" * (OFF_LOOP + 1)

    async def work() -> None:
        value, fields = await decode(json.dumps({"text": text}).encode(), Body)
        assert (value.text, set(fields)) == (text, {"text"})
        with pytest.raises(InvalidRequest):
            await decode(json.dumps({"text": text, "n": "x"}).encode(), Body)

    asyncio.run(work())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from(["n", "text", "ids", "any_", "pets", "pet", "mode", "named"]), JSON))
@example({"n": 1, "any_": {"n": 12}})
def test_any_object_is_read_as_written_or_refused(body: dict[str, Any]) -> None:
    for encoded in (json.dumps(body), json.dumps(body, ensure_ascii=False, indent=1)):
        try:
            value, fields = decode_now(encoded.encode(), Body)
        except InvalidRequest:
            continue
        assert value.n == body.get("n")
        assert value.any_ == body.get("any_")
        assert set(fields) == {name for name, item in body.items() if item is not None}


@given(JSON, st.sampled_from(["", " ", "\n "]), JSON)
def test_a_repeated_name_is_never_taken(first: Any, space: str, last: Any) -> None:
    parts = [f'"any_"{space}:{space}{json.dumps({"v": value})}' for value in (first, last)]
    refused(f"{{{space}{f'{space},'.join(parts)}{space}}}".encode())


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    refused(b'{"n":"' + body)


def test_names_that_are_there_twice_further_down_and_cannot_be_read_are_told() -> None:
    with pytest.raises(InvalidJson) as caught:
        decode_now(b'{"pets":[{"type":"cat","type":"dog","name":"x"}]}', Body)
    assert "twice" in caught.value.message
