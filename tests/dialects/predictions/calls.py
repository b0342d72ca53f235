"""Requests of the predictions API, on a plain connection."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from tests.dialects.openai.local import Answer, ask
from tests.running import Running

ALIAS = "mistralai/mistral-7b-instruct-v0.1:5fe0a3d7ac2852264a25279d1dfb798acbc4d49711d126646594e212cb821749"
BARE = "5821a338d00033abaaba89080a17eb8783d9a17ed710a6b4246a18e0900ccad4"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
KEYS = {
    *("id", "model", "version", "status", "input", "output", "error", "logs", "metrics", "created_at", "started_at"),
    *("completed_at", "urls", "source", "data_removed"),
}
PREDICTIONS, RUN, RUN_SSE = "/v1/predictions", "/v1/run", "/v1/run_sse"


def post(server: Running, path: str, body: Any = None, **headers: str) -> Answer:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return ask(server.port, "POST", path, data, **headers)


def get(server: Running, path: str, **headers: str) -> Answer:
    return ask(server.port, "GET", path.removeprefix(server.url), None, **headers)


def prediction(answer: Answer, status: int = 200) -> dict[str, Any]:
    """The object, after checking what is true of all."""
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/json"
    told: dict[str, Any] = answer.json
    assert set(told) == KEYS
    assert TIME.fullmatch(told["created_at"])
    assert told["urls"]["get"].endswith(f"/v1/predictions/{told['id']}")
    assert told["status"] in ("starting", "processing", "succeeded", "failed", "canceled")
    assert (told["completed_at"] is not None) == (told["status"] not in ("starting", "processing"))
    assert told["source"] == "api"
    return told


def run(server: Running, model: str, **inputs: Any) -> dict[str, Any]:
    return prediction(post(server, RUN, {"model": model, "input": inputs}))


def create(server: Running, model: str = "org/slow", **inputs: Any) -> dict[str, Any]:
    body = {"version": model, "input": {"prompt": "one two three", **inputs}}
    return prediction(post(server, PREDICTIONS, body), 201)


def refusal(answer: Answer, status: int, field: str | None = None) -> dict[str, Any]:
    """The problem, after checking that it is in shape."""
    told: dict[str, Any] = answer.json
    assert (answer.status, answer.headers["content-type"]) == (status, "application/problem+json"), answer.body
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
    assert [each["field"] for each in told.get("invalid_fields", ())] == ([field] if field else [])
    return told


def wait_for(server: Running, id: str, *statuses: str) -> dict[str, Any]:
    """The prediction, once it has one of these statuses."""
    end = time.monotonic() + 20
    while True:
        told = prediction(get(server, f"{PREDICTIONS}/{id}"))
        if told["status"] in statuses:
            return told
        assert time.monotonic() < end, told
        time.sleep(0.02)


def events(body: bytes) -> list[tuple[str, str, str]]:
    """Name, id and data of each event, read as the standard says."""
    found = []
    for block in body.decode().split("\n\n"):
        lines = [line.partition(": ") for line in block.split("\n") if line and not line.startswith(":")]
        if lines:
            fields = {name: value for name, _, value in lines}
            data = "\n".join(value for name, _, value in lines if name == "data")
            found.append((fields["event"], fields["id"], data))
    return found


def said(found: list[tuple[str, str, str]]) -> str:
    return "".join(data for name, _, data in found if name == "output")
