"""The terminal against the real models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.terminal import CTRL_C, CTRL_D, run, terminal
from tests.running import Running

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def test_one_question(embedded_server: Running) -> None:
    arguments = ("--max-tokens", "12", "--temperature", "0", "--json", "Say hello.")
    answer = json.loads(run("chat", "--base-url", embedded_server.base_url, *arguments).stdout)
    assert answer["text"].strip()
    assert answer["model"] == "smollm2-135m-instruct"
    assert 0 < answer["usage"]["completion_tokens"] <= 12
    assert answer["ttft"] > 0


def test_a_conversation_that_is_interrupted(embedded_server: Running, tmp_path: Path) -> None:
    url = embedded_server.base_url
    with terminal("chat", "--base-url", url, "--max-tokens", "1500", OPENAI_PROXY_HOME=str(tmp_path)) as person:
        person.wait_for("leaves.*>")
        person.type("Write a very long story about a fox, at least thirty paragraphs.")
        person.wait_for(r"(?:\w+\W+){40}", 60)  # more words than the question has
        person.press(CTRL_C)
        person.wait_for(r"\(stopped\).*>")
        person.type("Say hello.")
        person.wait_for(r"\w.*>", 60)
        person.press(CTRL_D)
        assert person.wait() == 0
