"""Every parameter that a remote model honours reaches its upstream, with the value that the client sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from backends.remote.remote import PARAMETERS
from tests.conftest import servers
from tests.pictures import picture
from tests.running import Running
from tests.sounds import tone
from tests.upstream import Upstream, threaded

CONFIG = '[server]\ngrace = 0.0\n[models.ours]\nbackend = "remote"\nupstreams = [{{ url = "{url}" }}]\n'
CHAT, TEXT, VECTORS, RERANK = "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank"
DRAW = "/v1/images/generations"
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
AUDIO = "/v1/audio/speech"
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
# By the name of the parameter: the route and the fields of the body that stand for it.
FIELDS: dict[str, tuple[str, dict[str, Any]]] = {
    "temperature": (CHAT, {"temperature": 0.25}),
    "top_p": (CHAT, {"top_p": 0.5}),
    "max_tokens": (CHAT, {"max_tokens": 3}),
    "stop": (CHAT, {"stop": ["x", "y"]}),
    "seed": (CHAT, {"seed": 5}),
    "n": (CHAT, {"n": 2}),
    "presence_penalty": (CHAT, {"presence_penalty": 0.5}),
    "frequency_penalty": (CHAT, {"frequency_penalty": -0.5}),
    "logit_bias": (CHAT, {"logit_bias": {"5": -1}}),
    "logprobs": (CHAT, {"logprobs": True, "top_logprobs": 2}),
    "prompt_logprobs": (CHAT, {"prompt_logprobs": 1}),
    "tools": (CHAT, {"tools": [TOOL], "tool_choice": "auto"}),
    "parallel_tool_calls": (CHAT, {"tools": [TOOL], "parallel_tool_calls": False}),
    "reasoning_effort": (CHAT, {"reasoning_effort": "low"}),
    "echo": (TEXT, {"echo": True}),
    "chat_echo": (CHAT, {"echo": True}),
    "json_object": (CHAT, {"response_format": {"type": "json_object"}}),
    "json_schema": (
        CHAT,
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA, "strict": True}}},
    ),
    "regex": (CHAT, {"regex": "a+"}),
    "choice": (CHAT, {"choice": ["a", "b"]}),
    "grammar": (CHAT, {"grammar": 'root ::= "a"'}),
    "token_prompts": (TEXT, {"prompt": [1, 2, 3]}),
    "dimensions": (VECTORS, {"dimensions": 4}),
    "use_activation": (RERANK, {"use_activation": False}),
    "top_k": (CHAT, {"top_k": 7}),
    "min_p": (CHAT, {"min_p": 0.1}),
    "repetition_penalty": (CHAT, {"repetition_penalty": 1.1}),
    "ignore_eos": (CHAT, {"ignore_eos": True}),
    "min_tokens": (CHAT, {"min_tokens": 2}),
    "priority": (CHAT, {"priority": 1}),
    "stop_token_ids": (CHAT, {"stop_token_ids": [2]}),
    "script": (CHAT, {"script": {"chunks": 2}}),
    "speed": (AUDIO, {"speed": 0.5}),
    "instructions": (AUDIO, {"instructions": "Softly."}),
    "include_stop_str_in_output": (CHAT, {"include_stop_str_in_output": True}),
    "bad_words": (CHAT, {"bad_words": ["bad"]}),
    "allowed_token_ids": (CHAT, {"allowed_token_ids": [1, 2]}),
    "skip_special_tokens": (CHAT, {"skip_special_tokens": False}),
    "cache_salt": (CHAT, {"cache_salt": "abc"}),
    "spaces_between_special_tokens": (CHAT, {"spaces_between_special_tokens": False}),
    "truncate_prompt_tokens": (VECTORS, {"truncate_prompt_tokens": 8}),
    "truncation_side": (CHAT, {"truncate_prompt_tokens": 8, "truncation_side": "left"}),
    "thinking_token_budget": (CHAT, {"thinking_token_budget": 10}),
    "add_special_tokens": (CHAT, {"add_special_tokens": True}),
    "return_tokens_as_token_ids": (CHAT, {"return_tokens_as_token_ids": True}),
    "add_generation_prompt": (CHAT, {"add_generation_prompt": False}),
    "continue_final_message": (
        CHAT,
        {
            "messages": [{"role": "assistant", "content": "One, "}],
            "continue_final_message": True,
            "add_generation_prompt": False,
        },
    ),
    "chat_template_kwargs": (CHAT, {"chat_template_kwargs": {"enable_thinking": False}}),
    "effort": (DRAW, {"quality": "high"}),
    "steps": (DRAW, {"num_inference_steps": 4}),
    "guidance": (DRAW, {"guidance_scale": 2.5}),
    "strength": (DRAW, {"strength": 0.5}),
    "negative_prompt": (DRAW, {"negative_prompt": "trees"}),
    "transparent": (DRAW, {"background": "transparent"}),
    "style": (DRAW, {"style": "vivid"}),
    "complexity": (DRAW, {"complexity": "high"}),
    "partial": (DRAW, {"stream": True, "partial_images": 2}),
    "gif": (DRAW, {"output_format": "gif"}),
    "svg": (DRAW, {"output_format": "svg", "svg": {"model": "a"}}),
    "frame_count": (DRAW, {"output_format": "gif", "frame_count": 3}),
    "frame_duration_ms": (DRAW, {"output_format": "gif", "frame_duration_ms": 100}),
}
# Of the forms that carry pictures: the route, how many pictures of which field, and the other fields.
DRAWN: dict[str, tuple[str, list[str], dict[str, str]]] = {
    "edit": ("edits", ["image"], {"prompt": "a door"}),
    "vary": ("variations", ["image"], {"n": "2"}),
    "images": ("edits", ["image[]", "image[]"], {"prompt": "a door"}),
    "mask": ("edits", ["image", "mask"], {"prompt": "a door"}),
    "input_fidelity": ("edits", ["image"], {"prompt": "a door", "input_fidelity": "high"}),
}
# Fields of the forms that carry speech.
SPOKEN: dict[str, tuple[str, dict[str, str]]] = {
    "language": ("transcriptions", {"language": "de"}),
    "prompt": ("transcriptions", {"prompt": "Fachwort"}),
    "translate": ("translations", {"prompt": "in English"}),
    "segment_timestamps": ("transcriptions", {"response_format": "verbose_json"}),
    "word_timestamps": (
        "transcriptions",
        {"response_format": "verbose_json", "timestamp_granularities[]": "word"},
    ),
    "server_vad": (
        "transcriptions",
        {"chunking_strategy[type]": "server_vad", "chunking_strategy[silence_duration_ms]": "700"},
    ),
    "transcript_logprobs": ("transcriptions", {"include[]": "logprobs", "chunking_strategy": "auto"}),
}
NEEDED: dict[str, dict[str, Any]] = {
    CHAT: {"messages": [{"role": "user", "content": "Hello"}]},
    TEXT: {"prompt": "Hello"},
    VECTORS: {"input": "Hello"},
    AUDIO: {"input": "Hello"},
    RERANK: {"query": "q", "documents": ["a"]},
    DRAW: {"prompt": "a house"},
}


@pytest.fixture(scope="module")
def fake() -> Iterator[Upstream]:
    with threaded(models=("ours",)) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(fake: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with servers(tmp_path_factory.mktemp("parameters")) as start:
        yield start(CONFIG.format(url=fake.url))


def test_every_parameter_is_here() -> None:
    assert FIELDS.keys() | SPOKEN.keys() | DRAWN.keys() == PARAMETERS


@pytest.mark.parametrize("name", FIELDS)
def test_it_arrives_as_it_was_sent(server: Running, fake: Upstream, name: str) -> None:
    path, fields = FIELDS[name]
    body = {"model": "ours"} | NEEDED[path] | fields
    answer = httpx2.post(f"{server.url}{path}", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    [*_, request] = [each for each in fake.seen().last if each.path == path]
    assert request.json.items() >= fields.items()


@pytest.mark.parametrize("name", SPOKEN)
def test_it_arrives_with_the_sound(server: Running, fake: Upstream, name: str) -> None:
    route, fields = SPOKEN[name]
    path = f"/v1/audio/{route}"
    answer = httpx2.post(
        f"{server.url}{path}", data={"model": "ours"} | fields, files={"file": ("a.wav", tone(1.0))}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    [*_, request] = [each for each in fake.seen().last if each.path == path]
    for field, value in fields.items():
        assert f'name="{field}"\r\n\r\n{value}\r\n' in request.body


@pytest.mark.parametrize("name", DRAWN)
def test_it_arrives_with_the_pictures(server: Running, fake: Upstream, name: str) -> None:
    route, names, fields = DRAWN[name]
    path = f"/v1/images/{route}"
    files = [(each, ("a.png", picture(mode="RGBA", colour=(0, 0, 0, 0)))) for each in names]
    answer = httpx2.post(f"{server.url}{path}", data={"model": "ours"} | fields, files=files, timeout=30)
    assert answer.status_code == 200, answer.text
    [*_, request] = [each for each in fake.seen().last if each.path == path]
    for field, value in fields.items():
        assert f'name="{field}"\r\n\r\n{value}\r\n' in request.body
    for each in set(names):
        assert request.body.count(f'name="{each}"; filename=') == names.count(each)
