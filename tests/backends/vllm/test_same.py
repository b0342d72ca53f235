"""Our server beside vLLM's own, over the same checkpoint: the same requests are answered in the same words."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.backends.conftest import CONTEXT, ENVIRONMENT, checkpoint
from tests.backends.vllm.conftest import LOADING
from tests.backends.vllm.prompts import ENGLISH, OTHER, PROMPTS, TOKENS
from tests.running import Running

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

SCHEMA = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 20}}, "required": ["city"]}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
MIXED = (*ENGLISH[:4], *OTHER)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[openai.OpenAI]:
    """A client of vLLM's own server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--model", checkpoint("smollm2"), "--served-model-name", "small", "--enforce-eager"]
    command += ["--dtype", "float32", "--max-model-len", str(CONTEXT), "--max-num-seqs", "16"]
    log = tmp_path_factory.mktemp("theirs") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **ENVIRONMENT}, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until_healthy(process, f"http://127.0.0.1:{port}/health")
        yield openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
    finally:
        process.terminate()
        process.wait(60)


def wait_until_healthy(process: subprocess.Popen[bytes], url: str) -> None:
    end = time.monotonic() + LOADING
    while time.monotonic() < end:
        assert process.poll() is None, "vLLM's server ended"
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.5)
    raise AssertionError("vLLM's server did not become ready")


@pytest.fixture(scope="module")
def ours(vllm_server: Running) -> Iterator[openai.OpenAI]:
    with vllm_server.client() as client:
        yield client


def chat(client: openai.OpenAI, prompt: str, **more: Any) -> Any:
    messages: list[Any] = [{"role": "user", "content": prompt}]
    return client.chat.completions.create(
        model="small", messages=messages, **{"temperature": 0, "max_tokens": TOKENS, **more}
    )


def streamed(chunks: Any) -> tuple[str, list[str], str | None]:
    """The text of a stream, the tokens of its log probabilities and why it ended."""
    text, tokens, reason = "", [], None
    for chunk in chunks:
        for part in chunk.choices:
            text += part.delta.content or ""
            tokens += [entry.token for entry in (part.logprobs.content or ())] if part.logprobs else []
            reason = part.finish_reason or reason
    return text, tokens, reason


def close(mine: list[Any], others: list[Any]) -> bool:
    """Whether log probabilities are of the same tokens and as near as floats are."""
    return [entry.token for entry in mine] == [entry.token for entry in others] and [
        entry.logprob for entry in mine
    ] == pytest.approx([entry.logprob for entry in others], abs=1e-3)


def test_there_are_fifty_prompts() -> None:
    assert len(set(PROMPTS)) == 50


@pytest.mark.parametrize("prompt", PROMPTS, ids=range(len(PROMPTS)))
def test_a_chat_is_the_same(ours: openai.OpenAI, theirs: openai.OpenAI, prompt: str) -> None:
    whole, other = chat(ours, prompt), chat(theirs, prompt)
    [mine], [their] = whole.choices, other.choices
    assert streamed(chat(ours, prompt, stream=True)) == (mine.message.content, [], mine.finish_reason)
    assert (mine.message.content, mine.finish_reason) == (their.message.content, their.finish_reason)
    assert whole.usage.prompt_tokens == other.usage.prompt_tokens
    assert whole.usage.completion_tokens == other.usage.completion_tokens


@pytest.mark.parametrize("prompt", MIXED, ids=range(len(MIXED)))
def test_log_probabilities_are_the_same(ours: openai.OpenAI, theirs: openai.OpenAI, prompt: str) -> None:
    wanted = {"logprobs": True, "top_logprobs": 3}
    [mine], [their] = chat(ours, prompt, **wanted).choices, chat(theirs, prompt, **wanted).choices
    assert mine.message.content == their.message.content
    entries, others = mine.logprobs.content, their.logprobs.content
    others = others[: len(entries)]  # theirs has one for the token that ends an answer, which says nothing
    assert close(entries, others)
    assert all(close(entry.top_logprobs, other.top_logprobs) for entry, other in zip(entries, others, strict=True))
    text, tokens, _ = streamed(chat(ours, prompt, stream=True, **wanted))
    assert (text, tokens) == (mine.message.content, [entry.token for entry in entries])


@pytest.mark.parametrize("prompt", MIXED, ids=range(len(MIXED)))
def test_a_completion_is_the_same(ours: openai.OpenAI, theirs: openai.OpenAI, prompt: str) -> None:
    def asked(client: openai.OpenAI, **more: Any) -> Any:
        return client.completions.create(model="small", prompt=prompt, temperature=0, max_tokens=TOKENS, **more)

    [mine], [their] = asked(ours).choices, asked(theirs).choices
    assert (mine.text, mine.finish_reason) == (their.text, their.finish_reason)
    # A strict client refuses legacy chunks, which have no finish_reason until the last.
    with openai.OpenAI(base_url=ours.base_url, api_key="none", max_retries=0) as loose:
        pieces = [part.text for chunk in asked(loose, stream=True) for part in chunk.choices]
    assert "".join(pieces) == mine.text


@pytest.mark.parametrize("prompt", MIXED, ids=range(len(MIXED)))
def test_tools_that_may_not_be_called_change_nothing(ours: openai.OpenAI, theirs: openai.OpenAI, prompt: str) -> None:
    given = {"tools": TOOLS, "tool_choice": "none"}
    [mine], [their] = chat(ours, prompt, **given).choices, chat(theirs, prompt, **given).choices
    assert mine.message.content == their.message.content
    assert streamed(chat(ours, prompt, stream=True, **given))[0] == mine.message.content


@pytest.mark.parametrize(
    "prompt", ["Weather in Paris?", "\u65e5\u672c\u306e\u9996\u90fd\u306e\u5929\u6c17\u306f\uff1f"]
)
def test_a_forced_call_is_the_same_streamed(ours: openai.OpenAI, prompt: str) -> None:
    given = {"tools": TOOLS, "tool_choice": "required", "max_tokens": 60}
    [call] = chat(ours, prompt, **given).choices[0].message.tool_calls
    arguments, name = "", ""
    for chunk in chat(ours, prompt, stream=True, **given):
        for piece in (chunk.choices[0].delta.tool_calls or ()) if chunk.choices else ():
            name += piece.function.name or ""
            arguments += piece.function.arguments or ""
    assert (name, arguments) == (call.function.name, call.function.arguments)
