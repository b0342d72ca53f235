"""h2oGPT's API names with the embedded models."""

from __future__ import annotations

import ast
import base64

import pytest

from tests.dialects.gradio.calling import Caller, said, session
from tests.running import Running

pytestmark = pytest.mark.engine
TEXTS = ["The tower in Paris was built in 1889.", "The bridge in London was built in 1894."]


@pytest.fixture(scope="module")
def embedded(embedded_server: Running) -> Caller:
    return Caller(embedded_server)


def test_a_chat_that_grows(embedded: Caller) -> None:
    name = session()
    given = {"instruction": "What is the capital of France?", "temperature": 0.0, "max_new_tokens": 12}
    embedded.event(name, **given, stream_output=True)
    outputs = [said(message) for message in embedded.told(name) if "output" in message]
    assert "Paris" in outputs[-1]["response"]
    assert len({output["response"] for output in outputs}) > 2
    assert outputs[-1]["save_dict"]["extra_dict"]["ntokens"] == 12
    assert embedded.chat(**given)["response"] == outputs[-1]["response"]


def test_questions_about_texts(embedded: Caller) -> None:
    about = {"text_context_list": TEXTS, "temperature": 0.0, "max_new_tokens": 24}
    query = embedded.chat(**about, langchain_action="Query", instruction="When was the tower in Paris built?")
    assert query["response"]
    assert all(text in query["prompt_raw"] for text in TEXTS)
    assert [source["content"] for source in query["sources"]] == TEXTS
    assert (
        len(ast.literal_eval(embedded.chat(**about, langchain_action="Extract", instruction="the year")["response"]))
        == 2
    )


def test_models_tokens_and_vectors(embedded: Caller) -> None:
    assert embedded.api("model_names").dict[0]["max_seq_len"] > 1000
    assert embedded.api("count_tokens", "one two three").json["data"] == ["3"]
    [near, same, far] = ast.literal_eval(
        embedded.api("embed_api", str(["a cat", "a kitten", "the stock market"]), "", "True").json["data"][0]
    )
    assert sum(map(float.__mul__, near, same)) > sum(map(float.__mul__, near, far))


def test_what_is_said_is_understood(embedded: Caller) -> None:
    spoken = embedded.api("speak_text_api", "None", "None", "autodetect", 1.0, "Hello there, how are you?").dict
    words = embedded.api("transcribe_audio_api", base64.b64encode(spoken["audio"]).decode()).json["data"][0]
    assert "how are you" in words.lower()
