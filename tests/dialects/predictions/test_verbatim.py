"""Requests as pages of servers of this kind show them, with `requests`, to the letter but for host and model."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from tests.dialects.predictions.calls import ALIAS, BARE, events
from tests.running import Running

TOKEN = {"Authorization": "Bearer none", "Content-Type": "application/json"}
INPUT = {
    "prompt": "tell me a joke",
    "temperature": 0.6,
    "top_p": 0.9,
    "max_new_tokens": 1024,
    "prompt_template": "<s>[INST] {prompt} [/INST] ",
}


def test_make_look_at_and_cancel(predicting: Running) -> None:
    made = requests.post(
        f"{predicting.base_url}/predictions",
        headers=TOKEN,
        data=json.dumps({"version": BARE, "input": INPUT}),
        timeout=20,
    )
    assert (made.status_code, made.json()["input"]) == (201, INPUT)
    url = f"{predicting.base_url}/predictions/{made.json()['id']}"
    told = requests.get(url, headers=TOKEN, json={}, timeout=20).json()
    assert "".join(told["output"]) == "<s>[INST] tell me a joke [/INST] "
    canceled = requests.post(f"{url}/cancel", data={}, timeout=20)
    assert (canceled.status_code, canceled.json()["status"]) == (200, "succeeded")


@pytest.mark.parametrize("model", [ALIAS, BARE])
def test_run_and_run_sse(predicting: Running, model: str) -> None:
    payload: dict[str, Any] = {"model": model, "input": {"prompt": "tell me a joke"}}
    told = requests.post(f"{predicting.base_url}/run", json=payload, headers=TOKEN, timeout=20).json()
    assert (told["status"], "".join(told["output"])) == ("succeeded", "tell me a joke")
    text = requests.post(f"{predicting.base_url}/run_sse", json=payload, headers=TOKEN, timeout=20).text
    assert [name for name, _, _ in events(text.encode())] == ["output"] * 4 + ["done"]
