"""Jobs where several workers serve: each of them answers for those that another is at."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.edge.fleet import TWO, one_at_each
from tests.edge.raw import Listen, wait_for

SLOW = "[models.slow]\nbackend = 'echo'\noptions = { delay = 0.05 }\n"
WORDS = " ".join(f"word{number}" for number in range(12))


class Client:
    """What is asked of one worker."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = http.client.HTTPConnection(*connection.getpeername())
        self.connection.sock = connection

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        head = {} if body is None else {"content-type": "application/json"}
        self.connection.request(method, path, None if body is None else json.dumps(body), head)
        answer = self.connection.getresponse()
        data = answer.read()
        assert answer.status < 300, data
        return data

    def predict(self, **inputs: Any) -> str:
        """Its path."""
        made = json.loads(self.ask("POST", "/v1/predictions", {"version": "slow", "input": inputs}))
        return f"/v1/predictions/{made['id']}"

    def shows(self, path: str, fits: Callable[[Any], bool]) -> Callable[[], bool]:
        return lambda: fits(json.loads(self.ask("GET", path)))


def test_a_prediction_is_read_followed_and_canceled_through_another_worker(listen: Listen, tmp_path: Path) -> None:
    listener = listen(f'{TWO}[jobs]\nhome = "{tmp_path / "jobs"}"\n{SLOW}')
    with one_at_each(listener) as connections:
        here, there = [Client(connection) for connection in connections.values()]
        long, short = here.predict(prompt=f"{WORDS} " * 30), here.predict(prompt=WORDS, max_tokens=12)
        wait_for(there.shows(long, lambda told: told["status"] == "processing" and len(told["output"] or ()) > 2))
        events = there.ask("GET", f"{short}/stream").decode().split("\n\n")
        fields = [dict(line.split(": ", 1) for line in event.splitlines()) for event in events if event]
        assert "".join(each["data"] for each in fields if each["event"] == "output") == WORDS
        assert fields[-1]["event"] == "done"
        there.ask("POST", f"{long}/cancel")
        wait_for(here.shows(long, lambda told: told["status"] == "canceled"))
        assert json.loads(there.ask("GET", long))["status"] == "canceled"
        assert json.loads(here.ask("GET", short))["output"] == json.loads(there.ask("GET", short))["output"]
    assert listener.errors() == []
