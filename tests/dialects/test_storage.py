"""What clients are told where jobs cannot be kept, in every protocol."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import servers
from tests.dialects.openai.local import ask
from tests.edge.raw import wait_for
from tests.running import Running

CHAT: dict[str, Any] = {"containers": ["openai-inference"], "data": {"prompt": "a"}}


@pytest.fixture(scope="module")
def unable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server whose database nobody answers for."""
    if importlib.util.find_spec("asyncpg") is None:
        pytest.skip("needs asyncpg")
    with servers(tmp_path_factory.mktemp("unable")) as start:
        yield start('[models.echo]\nbackend = "echo"\n[jobs]\ndatabase = "postgresql://somebody@127.0.0.1:1/jobs"\n')


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/predictions", {"version": "echo", "input": {"prompt": "a"}}),
        ("/v1/run_sse", {"version": "echo", "input": {"prompt": "a"}}),
        ("/v1/predictions/x", None),
        ("/echo", {"prompt": "a"}),
        ("/echo/progress?job_id=x", None),
        ("/api/jobs", CHAT),
        ("/api/jobs/stream", CHAT),
        ("/admin/jobs", None),
    ],
)
def test_why_is_for_the_log_alone(unable: Running, path: str, body: object) -> None:
    """The reason may name hosts, paths and users."""
    data = None if body is None else json.dumps(body).encode()
    answer = ask(unable.port, "GET" if body is None else "POST", path, data)
    assert answer.status == 503
    assert b"Jobs, files and documents cannot be kept or read at the moment." in answer.body
    assert b"rrno" not in answer.body
    assert b"127.0.0.1" not in answer.body
    told = f"refused (request {answer.headers['x-request-id']})"
    wait_for(lambda: told in unable.output())


def test_readiness_tells(unable: Running) -> None:
    """Chats are answered all the same."""
    assert ask(unable.port, "POST", "/v1/predictions", b'{"version": "echo", "input": {"prompt": "a"}}').status == 503
    answer = ask(unable.port, "GET", "/readyz")
    assert (answer.status, answer.json["jobs"]) == (200, "unavailable")
