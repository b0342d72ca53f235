"""h2oGPT's keys with the embedded models."""

from __future__ import annotations

import ast
from typing import Any

import pytest

from tests.running import Running

pytestmark = pytest.mark.engine

TEXTS = ["The bridge at Kelheim was built in 1877 by Anna Weber.", "Its toll was two pennies until 1912."]
ASKED: Any = [{"role": "user", "content": "Who built the bridge at Kelheim?"}]


def test_a_question_over_texts(embedded_server: Running) -> None:
    extra = {"text_context_list": TEXTS, "langchain_action": "Query", "do_sample": False, "max_new_tokens": 60}
    with embedded_server.client() as client:
        answer = client.chat.completions.create(model="", messages=ASKED, extra_body=extra)
        again = client.chat.completions.create(model="", messages=ASKED, extra_body=extra)
    assert "Weber" in (answer.choices[0].message.content or "")
    assert answer.choices[0].message.content == again.choices[0].message.content
    assert [source["content"] for source in (answer.model_extra or {})["sources"]] == TEXTS
    assert answer.usage
    assert answer.usage.prompt_tokens > 60


def test_an_extract_and_a_summary(embedded_server: Running) -> None:
    extra = {"text_context_list": TEXTS, "max_new_tokens": 24, "do_sample": False, "top_k": 1, "stop_token_ids": [0]}
    with embedded_server.client() as client:
        listed = client.chat.completions.create(
            model="",
            messages=[{"role": "user", "content": "the years"}],
            extra_body=extra | {"langchain_action": "Extract"},
        )
        told = client.chat.completions.create(
            model="", messages=ASKED, extra_body=extra | {"langchain_action": "Summarize"}
        )
    found = ast.literal_eval(listed.choices[0].message.content or "")
    assert len(found) == 2
    assert told.choices[0].message.content


def test_options_of_sampling(embedded_server: Running) -> None:
    said: Any = [{"role": "user", "content": "Yes or no?"}]
    with embedded_server.client() as client:
        raw = client.chat.completions.with_raw_response.create(
            model="",
            messages=said,
            extra_body={"guided_choice": ["yes", "no"], "min_new_tokens": 2, "repetition_penalty": 1.1, "max_time": 60},
        )
        assert raw.parse().choices[0].message.content in ("yes", "no")
        ignored = raw.headers.get("x-h2ogpt-ignored")
        late = client.chat.completions.create(
            model="", messages=said, extra_body={"max_time": 0.4, "ignore_eos": True, "max_new_tokens": 2000}
        )
    assert ignored == "min_new_tokens"  # the engine has none
    assert late.choices[0].finish_reason == "length"
    assert (late.usage.completion_tokens if late.usage else 0) < 2000


def test_the_only_model_for_vectors(embedded_server: Running) -> None:
    """Whatever h2oGPT's clients call it."""
    with embedded_server.client() as client:
        vectors = client.embeddings.create(model="hkunlp/instructor-large", input="a", encoding_format="float")
    assert vectors.model == "all-minilm-l6-v2"
