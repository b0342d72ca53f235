"""The released clients, each in an environment of its own, with the code that h2oGPT's documentation has for them."""

from __future__ import annotations

import subprocess

import pytest

from tests.dialects.gradio.calling import Caller
from tests.dialects.gradio.conftest import CLIENTS, run_script

WORDS = "one two three four five six seven eight nine ten "


@pytest.mark.parametrize("version", CLIENTS)
def test_gradios_own_client(opened: Caller, version: str) -> None:
    told = run_script(version, "native", opened)
    assert told["response"] == told["plain"] == "Who are you?"
    assert told["last"] == "".join(told["grown"])
    assert len(told["grown"]) > 5
    assert told["save_dicts"][-1]
    assert not any(told["save_dicts"][:-1])
    assert told["models"] == dict.fromkeys(("echo", "slow", "stalled", "broken"))
    assert "neither a dict" in told["malformed"]
    assert "Cannot find a function" in told["absent"]
    assert told["several"] == [f"q{number}" for number in range(4)]
    assert told["canceled"] is True
    assert told["after"] is True


def test_the_calls_of_h2ogpts_wrapper(opened: Caller) -> None:
    told = run_script("0.6.1", "wrapper", opened)
    assert told["models"] == ["echo", "slow", "stalled", "broken"]
    question = told["question"]
    assert question["response"] == question["prompt_raw"] == "Who are you?"
    assert question["base_model"] == "echo"
    assert question["figures"] == {"num_prompt_tokens": 3, "ntokens": 3}
    assert question["rate"]
    stream = told["question_stream"]
    assert len(stream["pieces"]) > 3
    assert stream["response"].startswith("".join(stream["pieces"])[:20])
    texts = ["Whisper hears speech.", "It was trained on 680,000 hours."]
    query = told["query"]
    assert [source["content"] for source in query["sources"]] == texts
    assert {source["source"] for source in query["sources"]} == {"text_context"}
    assert {source["score"] for source in query["sources"]} == {0.0}
    assert all(text in query["prompt_raw"] for text in (*texts, "What is it?", '"""'))
    assert "Be short." in told["summarize"]["prompt_raw"]
    assert len(told["extracted"]) == 2
    assert "Give all" in told["extracted"][0]
    assert texts[1] in told["extracted"][1]


def test_the_lines_of_curl(opened: Caller) -> None:
    data = '{"data": ["{\\"instruction_nochat\\": \\"Who are you?\\"}"]}'
    url = f"127.0.0.1:{opened.server.port}/api/submit_nochat_plain_api"
    words = ["curl", "-s", url, "-X", "POST", "-d", data, "-H", "Content-Type: application/json"]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.startswith("{\"data\":[\"{'response': 'Who are you?'")
    assert '"is_generating":false,"duration":' in done.stdout
