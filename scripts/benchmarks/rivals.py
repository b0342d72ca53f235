"""Our server and vLLM's own, each around the same model with the same settings of the engine."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from load import Exchange, connect, post
from pinned import Pinned, free_port

TOKENS = 128
LOADING_SECONDS = 600


def ours(model: str, engine: Mapping[str, Any], folder: Path, name: str, beat: float) -> Pinned:
    """Our server; its files in `folder` are called `name`."""
    fields = "\n".join(f"{key} = {json.dumps(value)}" for key, value in engine.items())
    config = folder / f"{name}.toml"
    config.write_text(
        f'[server]\ngrace = 0.0\nlog_format = "json"\n[models.m]\nbackend = "vllm"\nmodel = {json.dumps(model)}\n'
        f"options = {{ beat = {beat} }}\n[models.m.engine]\n{fields}\n"
    )
    return Pinned(["-m", "openai_proxy", "serve", "--port", "0", "--config", str(config)], folder / f"{name}.log")


def theirs(model: str, engine: Mapping[str, Any], folder: Path) -> Pinned:
    """vLLM's own server."""
    port = free_port()
    command = ["-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port), "--model", model]
    command += ["--served-model-name", "m", "--disable-uvicorn-access-log"]
    for field, value in engine.items():
        flag = "--" + field.replace("_", "-")
        command += [flag] if value is True else [flag, str(value)]
    return Pinned(command, folder / "theirs.log", patience=LOADING_SECONDS)


def chat(number: int) -> bytes:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": f"Write a long story about the number {number}."}],
        "max_tokens": TOKENS,
        "stream": True,
        "ignore_eos": True,
        "temperature": 0,
        "stream_options": {"include_usage": True},
    }
    return post("/v1/chat/completions", json.dumps(body).encode())


async def ready(server: Pinned) -> None:
    """Wait until the model answers."""
    end = time.monotonic() + LOADING_SECONDS
    while time.monotonic() < end:
        try:
            [client] = await connect(server.port, 1)
        except ConnectionRefusedError:  # a server may tell its port before it listens
            await asyncio.sleep(1)
            continue
        answer = await client.ask(chat(0))
        client.transport.close()
        if written(answer) == TOKENS:
            return
        if b"data: [DONE]" in answer.raw:
            raise SystemExit(f"the model does not answer: {answer.raw.decode()[-500:]}")
        await asyncio.sleep(1)
    raise SystemExit(f"the model did not become ready:\n{server.log.read_text()[-2000:]}")


def written(answer: Exchange) -> int:
    """The completion tokens that a stream's usage tells; 0 for a stream that went wrong."""
    events = answer.events() if answer.succeeded() else []
    if len(events) < 2 or events[-1] != b"[DONE]":
        return 0
    usage = json.loads(events[-2]).get("usage") or {}
    return int(usage.get("completion_tokens", 0))
