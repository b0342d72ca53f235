"""The whole server with a vLLM engine: the SDK, real connections, real deaths."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from tests.backends.conftest import CHAT_ENGINE, ENVIRONMENT, checkpoint
from tests.conftest import servers
from tests.running import Running

pytestmark = pytest.mark.vllm
LOADING = 540
MESSAGES: list[Any] = [{"role": "user", "content": "What is the capital of France?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    fields = "\n".join(f"{name} = {json.dumps(value)}" for name, value in CHAT_ENGINE.items())
    config = f"""
        default_model = "small"
        [server]
        grace = 0.0
        [models.small]
        backend = "vllm"
        model = {json.dumps(checkpoint("smollm2"))}
        aliases = ["gpt-4o-mini"]
        [models.small.engine]
        {fields}
    """
    with servers(tmp_path_factory.mktemp("vllm")) as start:
        begun = time.monotonic()
        running = start(config, path="/health", timeout=LOADING, **ENVIRONMENT)
        assert time.monotonic() - begun < 10
        assert state(running) == "loading"
        running.wait_for("/readyz", LOADING)
        yield running


def state(server: Running) -> str:
    with server.client() as client:
        (entry, _) = client.models.list().data
        return str(entry.model_dump()["state"])


def wait_until(holds: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.1)


def processes(server: Running) -> list[int]:
    """The engine's processes: all below the server's that are busy with a model."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()[1:]]
    below, found = {server.pid}, []
    for _ in range(3):
        for pid, parent, words in rows:
            if int(parent) in below and int(pid) not in below:
                below.add(int(pid))
                if "VLLM" in words or "EngineCore" in words:
                    found.append(int(pid))
    return found


def test_a_chat_streamed_and_whole(server: Running) -> None:
    with server.client() as client:
        whole = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, temperature=0, max_tokens=20)
        assert whole.choices[0].message.content == "The capital of France is Paris."
        assert whole.usage is not None
        assert (whole.model, whole.usage.prompt_tokens, whole.usage.completion_tokens) == ("small", 37, 8)
        stream = client.chat.completions.create(
            model="small", messages=MESSAGES, temperature=0, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage


def test_a_forced_tool_and_a_schema(server: Running) -> None:
    with server.client() as client:
        called = client.chat.completions.create(
            model="small", messages=MESSAGES, tools=TOOLS, tool_choice="required", temperature=0, max_tokens=60
        )
        [call] = called.choices[0].message.tool_calls or []
        assert call.type == "function"
        assert set(json.loads(call.function.arguments)) == {"city"}
        wanted: Any = {"type": "json_schema", "json_schema": {"name": "place", "schema": SCHEMA}}
        said = client.chat.completions.create(
            model="small", messages=MESSAGES, response_format=wanted, temperature=0, max_tokens=60
        )
        assert set(json.loads(said.choices[0].message.content or "")) == {"city"}
        chosen = client.chat.completions.create(
            model="small", messages=MESSAGES, extra_body={"structured_outputs": {"choice": ["Paris", "Rome"]}}
        )
        assert chosen.choices[0].message.content in {"Paris", "Rome"}


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"messages": [{"role": "user", "content": "word " * 4000}]}, "context_length_exceeded", "messages"),
        ({"extra_body": {"regex": "\\"}}, "invalid_value", "regex"),
        ({"extra_body": {"min_tokens": 9}, "max_tokens": 8}, "invalid_value", "min_tokens"),
        ({"logit_bias": {"49152": 1}}, "invalid_value", "logit_bias.49152"),
        ({"reasoning_effort": "low"}, "unsupported_parameter", "reasoning_effort"),
    ],
)
def test_what_is_refused_before_the_first_byte(server: Running, body: dict[str, Any], code: str, param: str) -> None:
    for stream in (False, True):
        with server.client() as client, pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(**{"model": "small", "messages": MESSAGES, "stream": stream, **body})
        assert (refused.value.code, refused.value.param) == (code, param)


def long_stream(client: openai.OpenAI) -> Any:
    return client.chat.completions.create(
        model="small", messages=MESSAGES, stream=True, max_tokens=1500, extra_body={"ignore_eos": True}
    )


def running(server: Running) -> float:
    with server.client() as client:
        text = client.get("/../metrics", cast_to=str)
    (line,) = [line for line in text.splitlines() if line.startswith('openai_proxy_requests_running{model="small"}')]
    return float(line.split()[-1])


def test_leaving_ends_the_work(server: Running) -> None:
    with server.client() as client:
        stream = long_stream(client)
        next(iter(stream))
        assert running(server) == 1
        stream.response.close()
    wait_until(lambda: running(server) == 0, 2)


def test_a_death_ends_streams_and_the_engine_comes_back(server: Running) -> None:
    assert processes(server)
    with server.client() as client:
        stream = long_stream(client)
        next(iter(stream))
        for pid in processes(server):
            os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        with pytest.raises(openai.APIError) as ended:
            list(stream)
        assert ended.value.code == "engine_failed"
        wait_until(lambda: state(server) == "restarting", 2)
        assert time.monotonic() - killed < 2
        with pytest.raises(openai.APIStatusError) as refused:
            client.chat.completions.create(model="small", messages=MESSAGES)
        assert refused.value.status_code == 503
        wait_until(lambda: state(server) == "ready", LOADING)
        again = client.chat.completions.create(model="small", messages=MESSAGES, temperature=0, max_tokens=20)
        assert again.choices[0].message.content == "The capital of France is Paris."


def test_it_ends_with_all_its_processes(server: Running) -> None:
    below = processes(server)
    assert below
    assert server.stop(signal.SIGTERM, timeout=30) == 0
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in below), 5)
