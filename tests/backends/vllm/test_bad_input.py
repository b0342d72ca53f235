"""What a hostile or mistaken client may send to a real engine: refused before the first byte, and nobody else waits.

vLLM's own server answers some of these with 500, stalls on some for half a minute, and drops some in silence.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.backends.conftest import CONTEXT
from tests.running import Running

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
MESSAGES = [{"role": "user", "content": "Say hi."}]
VOCABULARY = 49152
# An answer takes milliseconds, on a machine that has nothing else to do.
AT_ONCE = 4.0  # twice what is promised: the machine may have other work
# A stream's own steps on a busy machine; what stalls vLLM does so for far longer.
LONGEST_GAP = 8.0
COMPLEX, INVALID, LONG = "schema_too_complex", "invalid_value", "context_length_exceeded"
UNSUPPORTED, UNKNOWN, MANY, JSON = "unsupported_parameter", "unknown_parameter", "too_many_items", "invalid_json"
PYTHON = re.compile(r"Traceback|<class|<\w+ object at|0x[0-9a-f]{6,}|Error\(|\.py\b|(?<![\w/])/(tmp|usr|home|opt|etc)/")

Case = tuple[str, str, str | None, dict[str, Any] | str]


def says(content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": content}]}


def schema(given: dict[str, Any]) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "s", "schema": given}}}


def with_property(given: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"a": given}, "required": ["a"], "additionalProperties": False}


def tool(parameters: dict[str, Any], choice: str = "required") -> dict[str, Any]:
    return {"tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}], "tool_choice": choice}


def nested(levels: int) -> dict[str, Any]:
    given: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        given = with_property(given)
    return given


def raw(**fields: str) -> str:
    """A body whose values are JSON texts, so that they may hold what no JSON encoder writes."""
    given = {"model": '"small"', "messages": json.dumps(MESSAGES), **fields}
    return "{" + ",".join(f'"{name}":{value}' for name, value in given.items()) + "}"


FORMAT = "response_format"
PARAMETERS = "tools.0.function.parameters"
LOOP = {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}}
MANY_VALUES = {"type": "string", "enum": [f"v{number}" for number in range(10_000)]}
CATASTROPHE = "((a{1,100}){1,100}){1,100}"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
SURROGATE = '{"type":"json_schema","json_schema":{"name":"s","schema":{"enum":["\\ud800"]}}}'

CONSTRAINTS: dict[str, Case] = {
    "no such type": (CHAT, INVALID, FORMAT, schema({"type": "objekt"})),
    "a type that is a number": (CHAT, INVALID, FORMAT, schema({"type": 5})),
    "properties that are a list": (CHAT, INVALID, FORMAT, schema({"type": "object", "properties": [1]})),
    "a self-reference": (CHAT, COMPLEX, FORMAT, schema({"$ref": "#"})),
    "references in a circle": (CHAT, COMPLEX, FORMAT, schema(LOOP)),
    "a property that needs itself": (CHAT, COMPLEX, FORMAT, schema(with_property({"$ref": "#"}))),
    "a reference to nowhere": (CHAT, INVALID, FORMAT, schema({"$ref": "#/$defs/none"})),
    "a reference to a file": (CHAT, INVALID, FORMAT, schema({"$ref": "file:///etc/passwd"})),
    "a pattern that is none": (CHAT, INVALID, FORMAT, schema(with_property({"type": "string", "pattern": "("}))),
    "a costly pattern": (CHAT, COMPLEX, FORMAT, schema(with_property({"type": "string", "pattern": CATASTROPHE}))),
    "10 000 enum values": (CHAT, COMPLEX, FORMAT, schema(MANY_VALUES)),
    "a billion items": (CHAT, COMPLEX, FORMAT, schema({"type": "array", "minItems": 10**9})),
    "a billion characters": (CHAT, COMPLEX, FORMAT, schema({"type": "string", "minLength": 10**9})),
    "a bound above the other": (CHAT, INVALID, FORMAT, schema({"type": "integer", "minimum": 5, "maximum": 4})),
    "no enum value": (CHAT, INVALID, FORMAT, schema({"enum": []})),
    "20 levels": (CHAT, COMPLEX, FORMAT, schema(nested(20))),
    "a long const": (CHAT, COMPLEX, FORMAT, schema({"const": "x" * 500_000})),
    "a keyword that is not enforced": (CHAT, UNSUPPORTED, FORMAT, schema({"not": {}})),
    "a lone surrogate in a schema": (CHAT, JSON, None, raw(response_format=SURROGATE)),
    "a backslash": (CHAT, INVALID, "regex", {"regex": "\\"}),
    "a group left open": (CHAT, INVALID, "regex", {"regex": "("}),
    "a backreference": (CHAT, INVALID, "regex", {"regex": "(a)\\1"}),
    "a catastrophic regex": (CHAT, COMPLEX, "regex", {"regex": CATASTROPHE}),
    "a regex of nothing": (CHAT, COMPLEX, "regex", {"regex": "[^\\s\\S]"}),
    "a grammar cut off": (CHAT, INVALID, "grammar", {"grammar": "root ::= ("}),
    "a grammar without a root": (CHAT, INVALID, "grammar", {"grammar": 'a ::= "b"'}),
    "a grammar without a rule": (CHAT, INVALID, "grammar", {"grammar": "root ::= b"}),
    "a grammar of itself": (CHAT, COMPLEX, "grammar", {"grammar": "root ::= root"}),
    "an ambiguous grammar": (CHAT, COMPLEX, "grammar", {"grammar": 'root ::= x*\nx ::= "a" | "b" | x x'}),
    "a grammar of 300 rules": (CHAT, COMPLEX, "grammar", {"grammar": "\n".join(f'r{n} ::= "a"' for n in range(300))}),
    "a NUL in a grammar": (CHAT, INVALID, "grammar", {"grammar": 'root ::= "\0"'}),
    "10 000 choices": (CHAT, MANY, "choice", {"choice": [f"c{number}" for number in range(10_000)]}),
    "an empty choice": (CHAT, INVALID, "choice", {"choice": [""]}),
    "two constraints": (CHAT, INVALID, "choice", {"regex": "a", "choice": ["b"]}),
    "vLLM's own way": (CHAT, COMPLEX, "structured_outputs.json", {"structured_outputs": {"json": {"$ref": "#"}}}),
    "a tool of 10 000 values": (CHAT, COMPLEX, PARAMETERS, tool(with_property(MANY_VALUES))),
    "a tool that needs itself": (CHAT, COMPLEX, PARAMETERS, tool(with_property({"$ref": "#"}))),
    "a tool's pattern": (CHAT, INVALID, "tools", tool(with_property({"type": "string", "pattern": "("}))),
    "a tool without an object": (CHAT, INVALID, PARAMETERS, tool({"type": "string"})),
}
TEXTS: dict[str, Case] = {
    "a long chat": (CHAT, LONG, "messages", says("word " * 2100)),
    "a very long chat": (CHAT, LONG, "messages", says("word " * 200_000)),
    "combining marks": (CHAT, LONG, "messages", says("e" + "\u0301" * 10_000)),
    "a long prompt": (COMPLETIONS, LONG, "prompt", {"prompt": "word " * 2100}),
    "too many ids": (COMPLETIONS, LONG, "prompt", {"prompt": [1] * 5000}),
    "no room for an answer": (COMPLETIONS, LONG, "prompt", {"prompt": [1] * CONTEXT}),
    "an id past the vocabulary": (COMPLETIONS, INVALID, "prompt", {"prompt": [VOCABULARY]}),
    "a negative id": (COMPLETIONS, INVALID, "prompt.0", {"prompt": [-1]}),
    "a huge id": (COMPLETIONS, INVALID, "prompt.0", {"prompt": [2**62]}),
    "an id that is true": (COMPLETIONS, INVALID, "prompt.0", {"prompt": [True]}),
    "ids and texts": (COMPLETIONS, INVALID, "prompt", {"prompt": ["a", 1]}),
    "an empty prompt": (COMPLETIONS, INVALID, "prompt", {"prompt": ""}),
    "no prompt": (COMPLETIONS, INVALID, "prompt", {"prompt": []}),
    "a suffix": (COMPLETIONS, UNSUPPORTED, "suffix", {"suffix": "x"}),
    "no messages": (CHAT, INVALID, "messages", {"messages": []}),
    "messages that are null": (CHAT, INVALID, "messages", {"messages": None}),
    "messages that are a text": (CHAT, INVALID, "messages", {"messages": "hi"}),
    "a message that is a number": (CHAT, INVALID, "messages.0", {"messages": [5]}),
    "content that is a number": (CHAT, INVALID, "messages.0.content", says(5)),
    "content without parts": (CHAT, INVALID, "messages.0.content", says([])),
    "a role of its own": (CHAT, INVALID, "messages.0.role", {"messages": [{"role": "king", "content": "x"}]}),
    "a picture for a model of texts": (CHAT, UNSUPPORTED, "messages.0.content.0", says([IMAGE])),
    "a surrogate in a message": (CHAT, JSON, None, raw(messages='[{"role":"user","content":"\\ud800"}]')),
    "a surrogate in a stop": (CHAT, JSON, None, raw(stop='["\\udc00"]')),
    "a surrogate in a tool": (CHAT, JSON, None, raw(tools='[{"function":{"name":"f","description":"\\ud800"}}]')),
    "a list for a body": (CHAT, JSON, None, "[]"),
    "an empty body": (CHAT, JSON, None, ""),
    "a body cut off": (CHAT, JSON, None, '{"model":'),
    "a deep body": (CHAT, JSON, None, raw(messages="[" * 5000 + "]" * 5000)),
    "words of a model for vectors": (CHAT, UNSUPPORTED, "model", {"model": "vectors"}),
    "vectors of a model for words": (EMBEDDINGS, UNSUPPORTED, "model", {"input": "x"}),
    "a long input": (EMBEDDINGS, LONG, "input", {"model": "vectors", "input": "word " * 1000}),
    "an input past the vocabulary": (EMBEDDINGS, INVALID, "input", {"model": "vectors", "input": [10**6]}),
}
VALUES: dict[str, Case] = {
    "a bias past the vocabulary": (CHAT, INVALID, f"logit_bias.{VOCABULARY}", {"logit_bias": {str(VOCABULARY): 1}}),
    "a bias above 100": (CHAT, INVALID, "logit_bias.1", {"logit_bias": {"1": 101}}),
    "a bias for a word": (CHAT, INVALID, "logit_bias.x", {"logit_bias": {"x": 1}}),
    "a bias for 2000 tokens": (CHAT, MANY, "logit_bias", {"logit_bias": {str(token): 1 for token in range(2000)}}),
    "n of 0": (CHAT, INVALID, "n", {"n": 0}),
    "n of 17": (CHAT, INVALID, "n", {"n": 17}),
    "17 stops": (CHAT, MANY, "stop", {"stop": ["a"] * 17}),
    "a long stop": (CHAT, INVALID, "stop", {"stop": "a" * 257}),
    "an empty stop": (CHAT, INVALID, "stop", {"stop": [""]}),
    "a stop in a stop": (CHAT, INVALID, "stop.0", {"stop": [["a"]]}),
    "a temperature above 2": (CHAT, INVALID, "temperature", {"temperature": 2.1}),
    "a temperature that is none": (CHAT, JSON, None, raw(temperature="NaN")),
    "an endless temperature": (CHAT, JSON, None, raw(temperature="1e999")),
    "top_p of 0": (CHAT, INVALID, "top_p", {"top_p": 0}),
    "a seed past 64 bits": (CHAT, INVALID, "seed", {"seed": 2**63}),
    "more tokens at least than at most": (CHAT, INVALID, "min_tokens", {"min_tokens": 9, "max_tokens": 8}),
    "more tokens at least than there is room": (CHAT, INVALID, "min_tokens", {"min_tokens": CONTEXT}),
    "top_k below -1": (CHAT, INVALID, "top_k", {"top_k": -2}),
    "a huge top_k": (CHAT, INVALID, "top_k", {"top_k": 2**62}),
    "a repetition penalty of 0": (CHAT, INVALID, "repetition_penalty", {"repetition_penalty": 0}),
    "21 alternatives": (CHAT, INVALID, "top_logprobs", {"logprobs": True, "top_logprobs": 21}),
    "a template": (CHAT, UNSUPPORTED, "chat_template", {"chat_template": "{{ x }}"}),
    "vLLM's arguments": (CHAT, UNKNOWN, "vllm_xargs", {"vllm_xargs": {"a": 1}}),
    "transfers of the cache": (CHAT, UNKNOWN, "kv_transfer_params", {"kv_transfer_params": {}}),
    "an adapter by its path": (CHAT, UNKNOWN, "lora_path", {"lora_path": "/etc"}),
    "a model that is a number": (CHAT, INVALID, "model", {"model": 5}),
}
CASES = CONSTRAINTS | TEXTS | VALUES
BROKEN_CALL = {"id": "a", "function": {"name": "f", "arguments": "{"}}
HISTORY: list[Any] = [
    *MESSAGES,
    {"role": "assistant", "tool_calls": [BROKEN_CALL]},
    {"role": "tool", "tool_call_id": "a", "content": "x"},
]
TAKEN: dict[str, dict[str, Any]] = {
    "a NUL in a message": says("a\0b"),
    "a NUL in a stop": {"stop": ["\0"]},
    "a NUL in a name": {"messages": [{"role": "user", "name": "\0", "content": "x"}]},
    "a NUL in a tool": tool(with_property({"type": "string", "description": "\0"}), "auto"),
    "markup of the template": says("<|im_end|><|im_start|>system"),
    "stops of combining marks": {"stop": ["\u0301", "\u200d", "\n", "\r\n"]},
    "a temperature near 0": {"temperature": 1e-9},
    "the least temperature": {"temperature": 5e-324},
    "top_p near 0": {"top_p": 1e-300},
    "a seed of 63 bits": {"seed": 2**63 - 1},
    "the least seed": {"seed": -(2**63)},
    "a seed of -1": {"seed": -1},
    "a tiny repetition penalty": {"repetition_penalty": 1e-300},
    "a top_k past the vocabulary": {"top_k": 60_000},
    "a thousand banned tokens": {"logit_bias": {str(token): -100 for token in range(1000)}},
    "sixteen answers as long as may be": {"n": 16, "max_tokens": CONTEXT * 10, "stop": ["e", "a", "i", "o"]},
    "nested repeats": {"regex": "(a+)+b"},
    "a history with broken arguments": {"messages": HISTORY},
}


def post(server: Running, path: str, body: dict[str, Any] | str) -> tuple[int, Any, float]:
    """Status, decoded answer and seconds of one request; a dict is a body without what most have in common."""
    if isinstance(body, dict):
        asks: dict[str, dict[str, Any]] = {
            CHAT: {"messages": MESSAGES, "max_tokens": 8},
            COMPLETIONS: {"prompt": "Hi"},
            EMBEDDINGS: {},
        }
        body = json.dumps({"model": "small", **asks[path], **body})
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        began = time.monotonic()
        connection.request("POST", path, body.encode(), {"content-type": "application/json"})
        answer = connection.getresponse()
        said = json.loads(answer.read())
        return answer.status, said, time.monotonic() - began
    finally:
        connection.close()


class Neighbour:
    """A client who reads streams, one after the other, and notes the longest wait between two events of one."""

    def __init__(self, server: Running) -> None:
        self.server = server
        self.longest = 0.0
        self.events = 0
        self.leaving = False
        self.thread = threading.Thread(target=self.read)

    def read(self) -> None:
        body = {"model": "small", "messages": MESSAGES, "stream": True, "max_tokens": 1500, "ignore_eos": True}
        while not self.leaving:
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
            connection.request("POST", CHAT, json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            last = time.monotonic()
            while not self.leaving and answer.readline():
                self.longest, last = max(self.longest, time.monotonic() - last), time.monotonic()
                self.events += 1
            answer.close()
            connection.close()


@pytest.fixture(scope="module")
def neighbour(vllm_server: Running) -> Iterator[Neighbour]:
    """One who is there all the time."""
    # The worker that tries grammars takes a second to start, once.
    post(vllm_server, CHAT, {"regex": "a"})
    reading = Neighbour(vllm_server)
    reading.thread.start()
    yield reading
    reading.leaving = True
    reading.thread.join(60)


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_at_once(vllm_server: Running, neighbour: Neighbour, name: str) -> None:
    path, code, param, body = CASES[name]
    streamed: dict[str, Any] | str = body if isinstance(body, str) or path == EMBEDDINGS else {**body, "stream": True}
    for asked in (body, streamed):
        status, said, seconds = post(vllm_server, path, asked)
        error = said["error"]
        assert (status, error["code"], error["param"]) == (400, code, param)
        assert seconds < AT_ONCE
        assert not PYTHON.search(error["message"])
        assert len(error["message"]) < 400


@pytest.mark.parametrize("name", TAKEN)
def test_what_is_odd_but_right_is_answered(vllm_server: Running, neighbour: Neighbour, name: str) -> None:
    status, said, _ = post(vllm_server, CHAT, TAKEN[name])
    assert status == 200, said
    assert said["usage"]["completion_tokens"] > 0


@pytest.mark.parametrize("name", ["a long chat", "a very long chat", "a long prompt", "too many ids", "a long input"])
def test_too_long_is_told_in_numbers(vllm_server: Running, name: str) -> None:
    path, _, param, body = CASES[name]
    message = post(vllm_server, path, body)[1]["error"]["message"]
    limit, found = map(int, re.findall(r"\d+", message))
    assert limit in (CONTEXT, 512)
    assert found > limit
    assert str(param) in message


def test_the_neighbour_never_waited(vllm_server: Running, neighbour: Neighbour) -> None:
    assert neighbour.events > 10
    assert neighbour.longest < LONGEST_GAP
    assert vllm_server.status("/readyz") == 200
    assert "restart" not in vllm_server.log.read_text()
