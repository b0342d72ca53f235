"""AIME's API as its Python client 0.8.9 calls it: with `requests`, GET with a query or POST with JSON."""

from __future__ import annotations

import time
from typing import Any

import requests

from tests.running import Running

VERSION = "Python AIME API Client Interface 0.8.9"
PACE = 0.02

Json = dict[str, Any]


class Aime:
    """One endpoint, as a client sees it; `session` is its login."""

    def __init__(self, server: Running, endpoint: str, key: str | None = None) -> None:
        self.url = server.url
        self.endpoint = endpoint
        self.key = key
        self.session: str | None = None

    def get(self, path: str, **params: Any) -> requests.Response:
        return requests.get(self.url + path, params=params, timeout=30)

    def post(self, path: str, body: Any) -> requests.Response:
        return requests.post(self.url + path, json=body, timeout=30)

    def login(self, user: str | None = None) -> Json:
        """As `do_api_login`: what is None is left out of a query."""
        answer = self.get(f"/{self.endpoint}/login", version=VERSION, user=user, key=self.key)
        found: Json = answer.json()
        assert answer.status_code == 200, found
        self.session = found["client_session_auth_key"]
        return found

    def send(self, waits: bool, **params: Any) -> requests.Response:
        """As `do_api_request`."""
        own = {"client_session_auth_key": self.session, "key": self.key, "wait_for_result": waits}
        return self.post(f"/{self.endpoint}", {**params, **own})

    def ask(self, **params: Any) -> Json:
        """The result that was waited for."""
        answer = self.send(True, **params)
        found: Json = answer.json()
        assert answer.status_code == 200, found
        return found

    def begin(self, **params: Any) -> str:
        """The id of a job that is to be polled."""
        answer = self.send(False, **params)
        found: Json = answer.json()
        assert answer.status_code == 200, found
        assert found.keys() == {"success", "job_id", "ep_version"}
        job_id: str = found["job_id"]
        return job_id

    def progress(self, job_id: str) -> requests.Response:
        """As the client polls: with its API key, if it has one, and without its login."""
        return self.get(f"/{self.endpoint}/progress", key=self.key, job_id=job_id)

    def poll(self, job_id: str, within: float = 20) -> list[Json]:
        """All answers until the job is done."""
        answers: list[Json] = []
        end = time.monotonic() + within
        while time.monotonic() < end:
            answer = self.progress(job_id)
            assert answer.status_code == 200, answer.text
            answers.append(answer.json())
            if answers[-1]["job_state"] == "done":
                return answers
            time.sleep(PACE)
        raise AssertionError(f"not done within {within} s: {answers[-1]}")


def refusal(answer: requests.Response) -> tuple[int, Any]:
    """Status and error of an answer that refuses."""
    found = answer.json()
    assert found["success"] is False
    assert isinstance(found["ep_version"], int)
    return answer.status_code, found["error"]
