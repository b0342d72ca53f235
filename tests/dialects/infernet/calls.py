"""What tests ask of a node, without its client."""

from __future__ import annotations

import http.client
import json
import time
from typing import Any
from urllib.parse import urlencode

from tests.running import Running

# Of Ritual's examples.
CHAT = "gpt-3.5-turbo-16k"
VECTORS = "text-embedding-3-small"
CONTAINER = "openai-inference-0.0.1"
STREAMING = "openai-inference-streaming-0.0.1"
TIMEOUT = 20.0


def call(
    server: Running, method: str, path: str, body: object = None, *, came_from: str | None = None, **headers: str
) -> tuple[int, Any]:
    """Status and body of one request; `body` is bytes as they are, or JSON. A proxy says where it `came_from`."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    if came_from is not None:
        headers["x-forwarded-for"] = came_from
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT)
    try:
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def submit(server: Running, *containers: str, came_from: str | None = None, **data: Any) -> str:
    """The id of a new job."""
    body = {"containers": containers or (CONTAINER,), "data": data}
    status, answer = call(server, "POST", "/api/jobs", body, came_from=came_from)
    assert (status, list(answer)) == (200, ["id"]), answer
    id: str = answer["id"]
    return id


def results(server: Running, *ids: str, came_from: str | None = None, **query: str) -> list[dict[str, Any]]:
    """Results as they are now."""
    words = urlencode([("id", id) for id in ids] + list(query.items()))
    status, answer = call(server, "GET", f"/api/jobs?{words}", came_from=came_from)
    assert status == 200, answer
    found: list[dict[str, Any]] = answer
    return found


def ended(server: Running, id: str, came_from: str | None = None, **query: str) -> dict[str, Any]:
    """The result of a job when it has ended."""
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        [result] = results(server, id, came_from=came_from, **query)
        if result["status"] != "running":
            return result
        time.sleep(0.02)
    raise AssertionError("the job did not end")


def output(server: Running, *containers: str, came_from: str | None = None, **data: Any) -> Any:
    """What the last of these containers makes."""
    result = ended(server, submit(server, *containers, came_from=came_from, **data), came_from)
    assert result["status"] == "success", result
    return result["result"]["output"]


def why(server: Running, *containers: str, came_from: str | None = None, **data: Any) -> str:
    """Why a job failed."""
    result = ended(server, submit(server, *containers, came_from=came_from, **data), came_from)
    assert result["status"] == "failed", result
    error: str = result["result"]["error"]
    return error


def said(text: str, **params: Any) -> dict[str, Any]:
    """Data of a chat with one message."""
    return {
        "model": CHAT,
        "params": {"endpoint": "completion", "messages": [{"role": "user", "content": text}], **params},
    }
