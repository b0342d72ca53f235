"""Dicts as text: what is read, and what is refused before a parser sees it."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openai_proxy.dialects.gradio.literals import DEEPEST, MOST, read, read_dict
from openai_proxy.errors import InvalidRequest
from tests.dialects.gradio.calling import CHAT, Caller

SIMPLE = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = SIMPLE | st.lists(SIMPLE, max_size=3) | st.dictionaries(st.text(), SIMPLE, max_size=3) | st.tuples(SIMPLE)


@settings(max_examples=50)
@given(st.dictionaries(st.text(), VALUES, max_size=5))
def test_a_dict_as_python_writes_it(value: dict[str, Any]) -> None:
    assert read(str(value)) == value


@settings(max_examples=50)
@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text()))
def test_a_dict_as_json_writes_it(value: dict[str, Any]) -> None:
    assert read(json.dumps(value)) == value
    assert read(json.dumps(value, ensure_ascii=False, indent=1)) == value


def test_what_both_write_and_what_only_one_does() -> None:
    assert read("{'a': b'\\x00', \"it's\": -1.5e-07, 'c': (1,), 'd': 'x' 'y'}") == {
        "a": b"\0",
        "it's": -1.5e-07,
        "c": (1,),
        "d": "xy",
    }
    assert read('{"a": true, "b": null, "c": "\\ud83d\\ude00", "d": "\\/"}') == {
        "a": True,
        "b": None,
        "c": "😀",
        "d": "/",
    }
    assert read("{'a': '\\\\d'}") == {"a": "\\d"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "__import__('os').system('true')",
        "{'a': __import__('os')}",
        "{'a': open('/etc/passwd').read()}",
        "{'a': [x for x in (1, 2)]}",
        "{'a': (lambda: 1)()}",
        "{**{'a': 1}}",
        "{'a': f'{1}'}",
        "{[]: 1}",
        "{'a': 1",
        "'a'}",
        "{'a'\0: 1}",
        "{'a': '\\d'}",
        "{'a': 1 (2)}",
        "{'a': 9" + "9" * 5000 + "}",
    ],
)  # fmt: skip
def test_nothing_is_executed(text: str) -> None:
    with pytest.raises(InvalidRequest):
        read(text)


@pytest.mark.parametrize("value", ["{1, 2}", "'\\U0000d800'", "'\\udc00'", '"\\ud800"', "'\ud800'", "1j", "-1j"])
def test_what_json_could_not_say_is_refused(value: str) -> None:
    for text in (value, f"{{'a': {value}}}", f"{{'a': [({value},)]}}", f"{{{value}: 1}}"):
        with pytest.raises(InvalidRequest):
            read(text)


def test_what_is_next_to_that_is_read() -> None:
    text = "{'a': ['\\ud7ff', '\\ue000', '\\U0001f600', b'\\xff', {'': ()}, 1.5, -1, None, True]}"
    assert read(text) == {"a": ["\ud7ff", "\ue000", "😀", b"\xff", {"": ()}, 1.5, -1, None, True]}


BOMBS = {
    "brackets": "[" * 1_000_000,
    "braces": "{'a':" * 200_000 + "1" + "}" * 200_000,
    "one too deep": "(" * (DEEPEST + 1) + ")" * (DEEPEST + 1),
    "parts": "[" + "1," * 500_000 + "]",
    "signs": "-" * 1_000_000,
    "letters": "a" * 1_000_000,
    "digits": "{'a':" + "9" * 1_000_000 + "}",
    "an open text": "'" + "a" * 1_000_000,
    "backslashes": "'\\" * 500_000,
    "blanks": " " * 1_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_at_once(name: str) -> None:
    began = time.process_time()
    with pytest.raises(InvalidRequest):
        read(BOMBS[name])
    assert time.process_time() < began + 1


def test_limits_on_both_sides() -> None:
    assert read("(" * DEEPEST + "1" + ")" * DEEPEST) == 1
    assert len(read("[" + "1," * ((MOST - 4) // 2) + "1]")) == (MOST - 4) // 2 + 1
    with pytest.raises(InvalidRequest, match=f"more than {MOST} parts"):
        read("[" + "1," * (MOST // 2) + "1]")


@pytest.mark.parametrize("value", [1, None, {"a": 1}, "[1]", "{1: 2}", "'a'"])
def test_it_has_to_be_a_dict(value: object) -> None:
    with pytest.raises(InvalidRequest):
        asyncio.run(read_dict(value))


def test_values_of_odd_kinds_fail_the_event(opened: Caller) -> None:
    for text in (
        "{'instruction': 'a', 'text_context_list': ['\\U0000d800'], 'langchain_action': 'Query'}",
        "{'instruction': 'a', 'langchain_mode': '\\U0000dfff'}",
    ):
        assert opened.api(CHAT, text).status == 400, text
    for model in ("{'a'}", "b'a'", "['a']", "('a',)", "{'a': 1}", "1", "True"):
        answer = opened.api("speak_text_plain_api", f"{{'text': 'a', 'model': {model}}}")
        assert answer.status in (400, 404), (model, answer.body)
    for value in ("{'a'}", "b'a'", "[b'a']", "{'a': b'b'}"):
        for key in ("instruction", "langchain_mode", "text_context_list", "visible_models", "image_file", "stop"):
            answer = opened.api(CHAT, f"{{'instruction': 'a', '{key}': {value}}}")
            assert answer.status < 500, (key, value, answer.body)


def test_a_server_that_is_given_bombs_answers_others(opened: Caller) -> None:
    slowest, stop = [0.0], threading.Event()

    def ask() -> None:
        while not stop.is_set():
            began = time.monotonic()
            assert opened.get("/livez").status == 200
            slowest[0] = max(slowest[0], time.monotonic() - began)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for text in BOMBS.values():
            answer = opened.api(CHAT, text)
            assert answer.status == 400
            assert set(answer.json) == {"error"}
            assert len(answer.body) < 400
        big = opened.api(CHAT, str({"instruction": "hello", "iinput": "", "client_metadata": "a" * 5_000_000}))
        assert big.status == 200
    finally:
        stop.set()
        thread.join()
    assert slowest[0] < 2
