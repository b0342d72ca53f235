"""What h2oGPT's clients send in `extra_body`: each key's effect, or its name in a header."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest

from openai_proxy import __version__
from openai_proxy.config import ModelConfig
from openai_proxy.dialects.openai import wished
from openai_proxy.h2ogpt.keys import HONOURED, IGNORED
from tests.dialects.openai.local import CHAT, COMPLETIONS, Answer, Local, chat, completion
from tests.pictures import data_url, picture

MIRROR = "tests.dialects.openai.mirror:Mirror"
HEADER = "x-h2ogpt-ignored"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


@pytest.fixture(scope="module")
def mirrors() -> Iterator[Local]:
    models = {
        "mirror": ModelConfig(backend=MIRROR),
        "second": ModelConfig(backend=MIRROR),
        "deaf": ModelConfig(backend=MIRROR, options={"deaf": True}),
        "echo": ModelConfig(backend="echo"),
    }
    with Local(models=models) as application:
        yield application


def asked(local: Local, path: str = CHAT, model: str | None = "mirror", **keys: Any) -> Answer:
    body = chat(model=model) if path == CHAT else completion(model=model)
    answer = local.post(path, body | keys)
    assert answer.status == 200, answer.body
    return answer


def request(local: Local, path: str = CHAT, **keys: Any) -> Any:
    """What the engine was asked."""
    choice = asked(local, path, **keys).json["choices"][0]
    return json.loads(choice["message"]["content"] if path == CHAT else choice["text"])


def said(messages: Any) -> list[tuple[str, str]]:
    return [(message["role"], message["parts"][0]["text"]) for message in messages]


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
@pytest.mark.parametrize(
    ("keys", "sampling"),
    [
        ({"max_new_tokens": 7}, {"max_tokens": 7}),
        ({"max_new_tokens": 7, "max_tokens": 9}, {"max_tokens": 7}),
        ({"max_tokens": 9, "top_k_docs": 1}, {"max_tokens": 9}),
        ({"do_sample": False, "temperature": 0.9}, {"temperature": 0.0, "max_tokens": 256}),
        ({"do_sample": True, "temperature": 0.9}, {"temperature": 0.9, "max_tokens": 256}),
        ({"chunk": True, "seed": 3, "top_p": 0.5}, {"seed": 3, "top_p": 0.5, "max_tokens": 256}),
        ({"guided_regex": "[ab]"}, {"max_tokens": 256, "constraint": {"type": "Regex", "pattern": "[ab]"}}),
        ({"guided_choice": ["a", "b"]}, {"max_tokens": 256, "constraint": {"type": "Choice", "options": ["a", "b"]}}),
        ({"guided_grammar": "root ::= 'a'"}, {"constraint": {"type": "Grammar", "text": "root ::= 'a'"}}),
        ({"guided_json": SCHEMA}, {"constraint": {"type": "JsonSchema", "schema": SCHEMA}}),
        ({"guided_json": json.dumps(SCHEMA)}, {"constraint": {"type": "JsonSchema", "schema": SCHEMA}}),
    ],
)
def test_keys_of_sampling(mirrors: Local, path: str, keys: dict[str, Any], sampling: dict[str, Any]) -> None:
    found = request(mirrors, path, **keys)["sampling"]
    assert {name: found[name] for name in sampling} == sampling


@pytest.mark.parametrize(
    ("keys", "extra"),
    [
        ({"min_new_tokens": 3}, {"min_tokens": 3}),
        ({"min_new_tokens": 0}, {}),
        ({"hyde_level": 0, "top_k": 5, "min_p": 0.1}, {"top_k": 5, "min_p": 0.1}),
        ({"hyde_level": 0, "repetition_penalty": 1.07, "stop_token_ids": [4]}, None),
    ],
)
def test_keys_that_engines_read(mirrors: Local, keys: dict[str, Any], extra: dict[str, Any] | None) -> None:
    expected = {"repetition_penalty": 1.07, "stop_token_ids": [4]} if extra is None else extra
    assert request(mirrors, **keys)["extra"] == expected
    assert request(mirrors, COMPLETIONS, **keys)["extra"] == expected


@pytest.mark.parametrize(
    ("form", "kind"),
    [("json_object", "JsonObject"), ("json_code", "JsonObject"), ({"type": "json_code"}, "JsonObject"), ("text", None)],
)
def test_a_response_format_may_be_a_word(mirrors: Local, form: Any, kind: str | None) -> None:
    found = request(mirrors, hyde_level=0, response_format=form)["sampling"]["constraint"]
    assert found == (None if kind is None else {"type": kind})
    with_schema = request(mirrors, guided_json=SCHEMA, response_format=form)["sampling"]["constraint"]
    assert with_schema == {"type": "JsonSchema", "schema": SCHEMA}


def test_no_key_of_theirs_no_limit_of_theirs(mirrors: Local) -> None:
    assert request(mirrors)["sampling"]["max_tokens"] is None
    assert request(mirrors, hyde_level=0, max_completion_tokens=4)["sampling"]["max_tokens"] == 4


@pytest.mark.parametrize("value", [None, "", "auto"])
def test_no_system_message_is_added(mirrors: Local, value: Any) -> None:
    assert said(request(mirrors, system_prompt=value)["messages"]) == [("user", "one two three")]


def test_system_message_and_history_come_before(mirrors: Local) -> None:
    history = [["Hi", "Hello"], ["", "and more"], ["So?", None]]
    found = said(request(mirrors, system_prompt="Be brief.", chat_conversation=history)["messages"])
    turns = [("user", "Hi"), ("assistant", "Hello"), ("assistant", "and more"), ("user", "So?")]
    assert found == [("system", "Be brief."), *turns, ("user", "one two three")]
    own = [{"role": "system", "content": "Mine."}, {"role": "user", "content": "Q"}]
    found = said(request(mirrors, system_prompt="Theirs.", chat_conversation=history[:1], messages=own)["messages"])
    assert found == [("system", "Mine."), *turns[:2], ("user", "Q")]


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("literal", [False, True])
def test_image_files_are_in_the_last_message(mirrors: Local, several: bool, literal: bool) -> None:
    url = data_url(picture(size=(60, 40)))
    url = f"b'{url}'" if literal else url
    messages = [
        {"role": "user", "content": "What is it?"},
        {"role": "assistant", "content": "Hm."},
        *chat()["messages"],
    ]
    found = request(mirrors, image_file=[url, url] if several else url, messages=messages)["messages"]
    assert [len(message["parts"]) for message in found] == [1, 1, 3 if several else 2]
    assert (found[2]["parts"][1]["width"], found[2]["parts"][1]["height"]) == (60, 40)


def test_pictures_as_their_helper_writes_them(mirrors: Local) -> None:
    """`f"data:image/...;base64,{...}"` of bytes, made text by `str`."""
    url = str(data_url(picture()).encode())
    assert url.startswith("b'data:image/png;base64,")
    content = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url, "detail": "high"}}]
    found = request(mirrors, messages=[{"role": "user", "content": content}])["messages"]
    assert found[0]["parts"][1]["media_type"] == "image/png"


@pytest.mark.parametrize(
    ("keys", "model"),
    [
        ({}, "mirror"),
        ({"visible_models": "second"}, "second"),
        ({"visible_models": ["second"]}, "second"),
        ({"visible_models": 1}, "second"),
        ({"visible_models": [1]}, "second"),
        ({"visible_models": ""}, "mirror"),
        ({"model": "mirror", "visible_models": "second"}, "mirror"),
    ],
)
def test_which_model(mirrors: Local, keys: dict[str, Any], model: str) -> None:
    for path in (CHAT, COMPLETIONS):
        for empty in ("", None):
            assert asked(mirrors, path, **({"model": empty} | keys)).json["model"] == model


def test_no_model_is_the_first_that_can(mirrors: Local) -> None:
    assert mirrors.post(CHAT, {"messages": chat()["messages"]}).json["model"] == "mirror"
    assert mirrors.post("/v1/embeddings", {"input": "a", "model": ""}).json["model"] == "echo"


@pytest.mark.parametrize(
    ("value", "status", "code"),
    [("nobody", 404, "model_not_found"), (9, 404, "model_not_found"), (-1, 404, "model_not_found")]
    + [(value, 400, "invalid_value") for value in (True, 1.5, ["a", "b"], {"a": 1})],
)
def test_models_that_there_are_not(mirrors: Local, value: Any, status: int, code: str) -> None:
    answer = mirrors.post(CHAT, chat(model=None, visible_models=value))
    answer.refusal(status, code, "model" if value == "nobody" else "visible_models")


def test_every_known_key_without_effect_is_named(mirrors: Local) -> None:
    for name in sorted(IGNORED):
        key: dict[str, Any] = {name: 1}
        assert asked(mirrors, **key).headers[HEADER] == name
    nothing: dict[str, Any] = dict.fromkeys(IGNORED)
    assert HEADER not in asked(mirrors, **nothing).headers


# What clients of h2oGPT may send beside OpenAI's fields, all that is known of it: a value each, and what it does.
HONOURED_KEYS: dict[str, Any] = {
    **{"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.07, "min_new_tokens": 3, "max_new_tokens": 7},
    **{"stop_token_ids": [4], "seed": 3, "do_sample": False, "max_time": 360},
    **{"system_prompt": "Be brief.", "chat_conversation": [["Hi", "Hello"]], "text_context_list": ["Sky."]},
    **{"image_file": data_url(picture(size=(8, 8))), "response_format": {"type": "json_object"}},
    **{"guided_json": SCHEMA, "guided_regex": "[ab]", "guided_choice": ["a", "b"], "guided_grammar": "root ::= 'a'"},
}
# These ask for what is done anyway, or say who calls.
SILENT: dict[str, Any] = {
    **{"visible_models": "second", "use_agent": False, "langchain_mode": "LLM", "langchain_action": "Query"},
    **{"h2ogpt_key": "", "user": "alice:wonder:land"},
}
NAMED_KEYS: dict[str, Any] = {
    **{"prompt_type": "plain", "prompt_dict": {"a": "b"}, "langchain_agents": ["Search"], "top_k_docs": 4},
    **{"prompt_summary": "Sum up.", "pre_prompt_summary": "Read.", "prompt_extraction": "Extract."},
    **{"chunk": True, "chunk_size": 512, "document_subset": "Relevant", "document_choice": ["All"]},
    **{"document_content_substrings": ["a"], "hyde_level": 1, "hyde_llm_prompt": "a", "hyde_of_tomorrow": 1},
    **{"docs_ordering_type": "best", "docs_joiner": "-", "add_search_to_context": True, "loaders": ["a"]},
    **{"metadata_in_context": "auto", "agent_type": "auto", "agent_timeout": 60, "client_metadata": "me"},
    **{"instruction": "Who?", "iinput_nochat": "a"},
}


@pytest.mark.parametrize("name", [*HONOURED_KEYS, *NAMED_KEYS, *SILENT])
def test_no_key_of_the_contract_is_refused(mirrors: Local, name: str) -> None:
    """It has an effect, or is named; or there is nothing to be done."""
    key: dict[str, Any] = {name: {**HONOURED_KEYS, **NAMED_KEYS, **SILENT}[name]}
    answer = asked(mirrors, **key)
    assert answer.headers.get(HEADER) == (name if name in NAMED_KEYS else None)
    if name in HONOURED_KEYS and name != "max_time":
        assert request(mirrors, **{"hyde_level": 0, **key}) != request(mirrors, hyde_level=0)


def test_words_around_texts_are_honoured(mirrors: Local) -> None:
    words = {"pre_prompt_query": "Read.", "prompt_query": "Now:", "langchain_action": "Query"}
    answer = asked(mirrors, text_context_list=["The sky is green."], **words)
    assert HEADER not in answer.headers
    found = answer.json["choices"][0]["message"]["content"]
    assert found.index("Read.") < found.index("The sky is green.") < found.index("Now:")


def test_beside_a_key_of_theirs_any_key_is_taken(mirrors: Local) -> None:
    """Of others a typing error is told."""
    for name in ("temprature", "chat_template", "prompt"):
        answer = mirrors.post(CHAT, chat(model="mirror") | {name: "a"})
        assert (answer.status, answer.error["param"]) == (400, name)
        assert asked(mirrors, hyde_level=1, **{name: "a"}).headers[HEADER] == ",".join(sorted(("hyde_level", name)))
    for path in (CHAT, COMPLETIONS):
        assert asked(mirrors, path, hyde_level=0, logprob=1).headers[HEADER] == "hyde_level,logprob"


def test_the_header_holds_plain_names_only_and_not_too_many(mirrors: Local) -> None:
    everything = dict.fromkeys(IGNORED, "\r\nx-evil: 1")
    header = asked(mirrors, **everything).headers[HEADER]
    assert header.split(",") == sorted(IGNORED)
    odd: dict[str, Any] = {"a\r\nx-evil: 1": 1, "é": 1, "a,b": 1, "": 1, "x" * 65: 1, "hyde_level": 1}
    assert asked(mirrors, **odd).headers[HEADER] == "hyde_level"
    many: dict[str, Any] = {f"agent_{number:04}": 1 for number in range(1000)}
    header = asked(mirrors, **many).headers[HEADER]
    assert 3900 < len(header) <= 4000
    assert header.split(",") == sorted(many)[: header.count(",") + 1]
    stream = asked(mirrors, stream=True, top_k_docs=3)
    assert stream.headers[HEADER] == "top_k_docs"
    assert stream.body.endswith(b"data: [DONE]\n\n")


@pytest.mark.parametrize("mode", ["LLM", "ChatLLM", "Disabled", "", None, "None"])
def test_a_mode_without_documents_is_none(mirrors: Local, mode: Any) -> None:
    assert HEADER not in asked(mirrors, langchain_mode=mode, langchain_action="Query", langchain_agents=[]).headers


@pytest.mark.parametrize("mode", ["All", "wiki", "wiki_full", "github h2oGPT", "DriverlessAI docs", ["wiki", "LLM"]])
def test_documents_that_come_with_h2ogpt_are_not_here(mirrors: Local, mode: Any) -> None:
    answer = asked(mirrors, langchain_mode=mode, top_k_docs=3)
    assert answer.headers[HEADER] == "langchain_mode,top_k_docs"


def test_collections_that_there_cannot_be_are_named(mirrors: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wished, "documents_kept", lambda: False)
    answer = asked(mirrors, langchain_mode="UserData", langchain_action="Summarize", prompt_summary="Sum up.")
    assert answer.headers[HEADER] == "langchain_action,langchain_mode,prompt_summary"
    assert json.loads(answer.json["choices"][0]["message"]["content"])["messages"]


def test_options_that_a_model_lacks_are_named(mirrors: Local) -> None:
    keys: dict[str, Any] = {
        "top_k": 1,
        "min_p": 0.5,
        "repetition_penalty": 1.1,
        "temperature": 0.5,
        "top_p": 0.5,
        "seed": 1,
    }
    answer = asked(mirrors, model="deaf", **keys, min_new_tokens=4, stop_token_ids=[1], do_sample=True)
    assert answer.headers[HEADER] == ",".join(sorted([*keys, "min_new_tokens", "stop_token_ids"]))
    assert asked(mirrors, model="deaf", do_sample=False).headers[HEADER] == "do_sample"
    mirrors.post(CHAT, chat(model="deaf", top_k=1)).refusal(400, "unsupported_parameter", "top_k")


def test_messages_are_not_for_texts(mirrors: Local) -> None:
    answer = asked(mirrors, COMPLETIONS, system_prompt="Be brief.", chat_conversation=[["a", "b"]])
    assert answer.headers[HEADER] == "chat_conversation,system_prompt"


@pytest.mark.parametrize(
    ("keys", "code", "param"),
    [
        ({"use_agent": True}, "unsupported_parameter", "use_agent"),
        ({"langchain_action": "ImageGen"}, "unsupported_parameter", "langchain_action"),
        ({"langchain_action": 5}, "invalid_value", "langchain_action"),
        ({"chat_conversation": [["a"]]}, "invalid_value", "chat_conversation.0"),
        ({"chat_conversation": "a"}, "invalid_value", "chat_conversation"),
        ({"system_prompt": 5}, "invalid_value", "system_prompt"),
        ({"text_context_list": [5]}, "invalid_value", "text_context_list.0"),
        ({"image_file": 5}, "invalid_value", "image_file"),
        ({"image_file": "data:image/png;base64,AAAA"}, "invalid_image", "image_file"),
        ({"image_file": ["", "nothing"]}, "invalid_image", "image_file.1"),
        ({"do_sample": "maybe"}, "invalid_value", "do_sample"),
        ({"guided_choice": ["a", 5]}, "invalid_value", "guided_choice.1"),
        ({"max_new_tokens": 0}, "invalid_value", "max_new_tokens"),
        ({"max_new_tokens": "many"}, "invalid_value", "max_new_tokens"),
        ({"min_new_tokens": -1}, "invalid_value", "min_new_tokens"),
        ({"guided_regex": "(" * 2000}, "schema_too_complex", "guided_regex"),
        ({"guided_json": "{"}, "invalid_value", "guided_json"),
        ({"guided_json": 5}, "invalid_value", "guided_json"),
        ({"guided_choice": []}, None, None),
        ({"guided_choice": [""]}, "invalid_value", "guided_choice"),
        ({"hyde_level": 1, "temperature": 3}, "invalid_value", "temperature"),
        ({"hyde_level": 1, "messages": []}, "invalid_value", "messages"),
        ({"hyde_level": 1, "messages": "a"}, None, None),
        ({"hyde_level": 1, "messages": [5]}, "invalid_value", "messages.0"),
        ({"max_time": 0}, "invalid_value", "max_time"),
        ({"top_k_docs": "many"}, "invalid_value", "top_k_docs"),
    ],
)
def test_what_is_wrong_is_told_of_the_key(mirrors: Local, keys: dict[str, Any], code: str | None, param: str) -> None:
    answer = mirrors.post(CHAT, chat(model="mirror") | keys)
    if code is None:
        assert answer.status in (200, 400)
    else:
        answer.refusal(400, code, param)
        assert param in answer.error["message"]


def test_a_mistyped_key_is_told(mirrors: Local) -> None:
    answer = mirrors.post(CHAT, chat(max_new_token=5))
    answer.refusal(400, "unknown_parameter", "max_new_token")
    assert "Did you mean 'max_new_tokens'?" in answer.error["message"]


def test_what_is_served(mirrors: Local) -> None:
    def get(path: str) -> Any:
        answer = mirrors.send("GET", path)
        assert answer.status == 200
        return answer.json

    assert get("/version") == {"version": __version__}
    assert get("/v1/internal/model/info") == {"model_name": "mirror"}
    assert get("/v1/internal/model/list") == {"model_names": ["mirror", "second", "deaf", "echo"]}
    entry = get("/v1/models/mirror")
    assert (entry["base_model"], entry["display_name"], entry["max_seq_len"]) == ("mirror", "mirror", 4096)
    assert get("/v1/models")["data"][3]["max_seq_len"] is None


def test_use_agent_false_is_fine(mirrors: Local) -> None:
    assert HEADER not in asked(mirrors, use_agent=False).headers


def test_no_key_makes_the_server_fail(mirrors: Local) -> None:
    values: tuple[Any, ...] = (1, "a", None, [], {"a": 1})
    for name, value in itertools.product(sorted(HONOURED), values):
        answer = mirrors.post(CHAT, chat(model="mirror") | {name: value})
        assert answer.status in (200, 400, 404), (name, value)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", [CHAT, COMPLETIONS])
def test_an_answer_ends_when_its_time_is_over(mirrors: Local, path: str, stream: bool) -> None:
    body = chat() if path == CHAT else completion()
    script = {"chunks": 100, "delay": 0.1}
    answer = mirrors.post(path, body | {"max_time": 0.25, "script": script, "stream": stream})
    assert answer.status == 200
    if stream:
        chunks = [json.loads(line[6:]) for line in answer.body.decode().split("\n\n")[:-2]]
        assert chunks[-1]["choices"][0]["finish_reason"] == "length"
        assert len(chunks) < 20
        return
    assert answer.json["choices"][0]["finish_reason"] == "length"
    assert 0 < answer.json["usage"]["completion_tokens"] < 10


def test_an_answer_in_time_is_whole(mirrors: Local) -> None:
    choices = asked(mirrors, model="echo", max_time=60, n=2).json["choices"]
    assert [choice["finish_reason"] for choice in choices] == ["stop", "stop"]
    silent = mirrors.post(CHAT, chat(max_time=0.1, script={"stall": True}))
    assert silent.json["choices"][0] | {"logprobs": None} == {
        "index": 0,
        "message": {"content": "", "refusal": None, "role": "assistant"},
        "finish_reason": "length",
        "logprobs": None,
    }


def test_an_engine_that_fails_in_time_has_failed(mirrors: Local) -> None:
    answer = mirrors.post(CHAT, chat(max_time=60, script={"fail": "late", "after": 1}))
    answer.refusal(500, "engine_failed", None)


def test_no_key_is_both_honoured_and_ignored() -> None:
    assert not HONOURED & IGNORED
