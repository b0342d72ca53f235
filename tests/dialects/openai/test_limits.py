"""Each configured limit: the last value inside it is served, the next one refused with the field named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from openai_proxy.config import Limits
from tests.dialects.openai.forms import send, spoken
from tests.dialects.openai.local import CHAT, COMPLETIONS, EMBEDDINGS, Local, chat, completion, embedding
from tests.dialects.openai.test_fields import tool
from tests.sounds import tone

SMALL = Limits(
    body_bytes=20_000,
    n=3,
    stop=3,
    stop_length=5,
    tools=3,
    tool_bytes=1_000,
    messages=3,
    parts=3,
    prompts=6,
    inputs=3,
    model_name=10,
    upload_bytes=40_000,
    form_parts=4,
    form_field=50,
    audio_seconds=1,
)
HEAD = {"headers", "head_bytes", "request_line"}  # test_heads has these
TOKENS = {"tokenize"}  # test_tokens has these
MEDIA = {"media", "image_pixels", "chat_pixels", "image_side", "audio_part_seconds"}  # test_media has these
FETCHED = {"url", "fetched_bytes", "chat_fetched_bytes"}  # test_fetched and tests/fetching have these
FORMS = {"upload_bytes", "form_parts", "form_field", "audio_seconds"}
IMAGES = {"image_prompt", "drawn_side", "stored_images"}  # test_image_refusals and test_image_files have these
ENGINE = {"logit_bias"}  # and test_constraints the others that the echo model cannot do
SPEECH = {"speech_characters"}  # test_speech has it
FILES = {"stored_files"}  # the tests of predictions have it
OPTIONS = {"token_ids", "bad_words", "template_bytes"}  # test_options has these

MESSAGE = {"role": "user", "content": "x"}
PART = {"type": "text", "text": "x"}


def padded(size: int) -> bytes:
    body = msgspec.json.encode(chat())
    return body + b" " * (size - len(body))


def parts(count: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [PART]}] * (count - 2) + [{"role": "user", "content": [PART, PART]}]


def described(size: int) -> list[dict[str, Any]]:
    empty = len(msgspec.json.encode([tool(description="", parameters={}, strict=None)]))
    return [tool(description="d" * (size - empty), parameters={}, strict=None)]


CASES: dict[str, tuple[str, Callable[[int], Any], str | None, str]] = {
    "body_bytes": (CHAT, padded, None, "request_too_large"),
    "n": (CHAT, lambda count: chat(n=count), "n", "invalid_value"),
    "stop": (CHAT, lambda count: chat(stop=["x"] * count), "stop", "too_many_items"),
    "stop_length": (CHAT, lambda count: chat(stop="x" * count), "stop", "invalid_value"),
    "tools": (CHAT, lambda count: chat(tools=[tool(f"f{i}") for i in range(count)]), "tools", "too_many_items"),
    "tool_bytes": (CHAT, lambda size: chat(tools=described(size)), "tools", "schema_too_complex"),
    "messages": (CHAT, lambda count: chat(messages=[MESSAGE] * count), "messages", "too_many_items"),
    "parts": (CHAT, lambda count: chat(messages=parts(count)), "messages", "too_many_items"),
    "prompts": (COMPLETIONS, lambda count: completion(prompt=["x"] * count), "prompt", "too_many_items"),
    "inputs": (EMBEDDINGS, lambda count: embedding(input=["x"] * count), "input", "too_many_items"),
}


@pytest.fixture(scope="module")
def small() -> Iterator[Local]:
    with Local(SMALL) as application:
        yield application


@pytest.mark.parametrize("name", CASES)
def test_limits(small: Local, name: str) -> None:
    path, make, param, code = CASES[name]
    limit = getattr(SMALL, name)
    assert small.post(path, make(limit)).status == 200
    small.post(path, make(limit + 1)).refusal(413 if code == "request_too_large" else 400, code, param)


def test_the_name_of_a_model(small: Local) -> None:
    small.post(CHAT, chat(model="m" * 10)).refusal(404, "model_not_found", "model")
    small.post(CHAT, chat(model="m" * 11)).refusal(400, "invalid_value", "model")


def test_choices_of_all_prompts(small: Local) -> None:
    assert small.post(COMPLETIONS, completion(prompt=["x"] * 3, n=2)).status == 200
    small.post(COMPLETIONS, completion(prompt=["x"] * 4, n=2)).refusal(400, "invalid_value", "n")


@pytest.mark.parametrize(
    ("fits", "over", "code", "param"),
    [
        ({"prompt": "x" * 50}, {"prompt": "x" * 51}, "invalid_value", "prompt"),
        ({"prompt": "x", "language": "en"}, {"prompt": "x", "language": "en", "stream": "0"}, "too_many_items", None),
    ],
)
def test_forms(small: Local, fits: dict[str, str], over: dict[str, str], code: str, param: str | None) -> None:
    sound = tone(0.1)
    assert send(small, spoken(sound, **fits)).status == 200
    send(small, spoken(sound, **over)).refusal(400, code, param)


def test_uploads(small: Local) -> None:
    def sized(size: int) -> bytes:
        empty = len(spoken(b""))
        data = tone(0.1)
        return spoken(data + bytes(size - empty - len(data)))

    assert len(sized(SMALL.upload_bytes)) == SMALL.upload_bytes
    assert send(small, sized(SMALL.upload_bytes)).status == 200
    send(small, spoken(tone(1.0)) + b" " * 40_000).refusal(413, "request_too_large", None)


def test_seconds(small: Local) -> None:
    assert send(small, spoken(tone(1.0, 8000))).status == 200
    send(small, spoken(tone(1.1, 8000))).refusal(400, "invalid_audio", "file")


def test_every_limit_has_a_test() -> None:
    from tests.dialects.openai.test_constraints import CASES as CONSTRAINTS

    tested = {
        *CASES,
        *CONSTRAINTS,
        *HEAD,
        *MEDIA,
        *FORMS,
        *IMAGES,
        *ENGINE,
        *OPTIONS,
        *TOKENS,
        *SPEECH,
        *FETCHED,
        *FILES,
        "model_name",
    }
    assert {field.name for field in msgspec.structs.fields(Limits)} == tested
