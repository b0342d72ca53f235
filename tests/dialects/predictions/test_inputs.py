"""What inputs become in OpenAI's words, kind by kind, and what is said of those that become nothing."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from backends import Kind, Model
from openai_proxy.dialects.predictions.given import INPUTS, OUTPUTS, schema
from openai_proxy.dialects.predictions.inputs import Translated, translated
from openai_proxy.dialects.predictions.sources import Sources
from openai_proxy.errors import InvalidRequest

ABLE = frozenset({"temperature", "top_p", "max_tokens", "top_k", "segment_timestamps"})
PNG = "data:image/png;base64,aGk="


class Named:
    """Sources that give back what they are asked for."""

    async def picture(self, url: str, param: str) -> bytes:
        return f"{param}: {url}".encode()

    sound = picture

    async def shown(self, url: str, param: str) -> str:
        return url


def asked(kinds: set[Kind], context: int | None = None, **inputs: Any) -> Translated:
    model = Model(kinds=frozenset(kinds), parameters=ABLE, context=context)
    return asyncio.run(translated(inputs, model, cast(Sources, Named())))


def text(kinds: set[Kind] | None = None, **inputs: Any) -> Translated:
    return asked(kinds or {"chat", "completion"}, **{"prompt": "p", **inputs})


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def test_text_has_the_defaults_that_the_model_honours() -> None:
    found = text()
    assert (found.kind, found.notes) == ("chat", [])
    assert found.fields == {"messages": [user("p")], "max_tokens": 512, "temperature": 0.7, "top_p": 0.95}
    assert text(context=300).fields["max_tokens"] == 150
    bare = asyncio.run(translated({"prompt": "p"}, Model(kinds=frozenset({"chat"})), cast(Sources, Named())))
    assert bare.fields == {"messages": [user("p")]}


@pytest.mark.parametrize(
    ("inputs", "field", "value", "called"),
    [
        ({"max_new_tokens": 3, "max_tokens": 4}, "max_tokens", 3, "max_new_tokens"),
        ({"max_tokens": 4}, "max_tokens", 4, "max_tokens"),
        ({"min_new_tokens": 2}, "min_tokens", 2, "min_new_tokens"),
        ({"min_new_tokens": -1}, "min_tokens", None, ""),
        ({"min_tokens": 0}, "min_tokens", None, ""),
        ({"temperature": 0}, "temperature", 0, "temperature"),
        ({"top_p": 1}, "top_p", 1, "top_p"),
        ({"top_k": 7}, "top_k", 7, "top_k"),
        ({"top_k": 0}, "top_k", -1, "top_k"),
        ({"top_k": -1}, "top_k", -1, "top_k"),
        ({"repetition_penalty": 1}, "repetition_penalty", None, ""),
        ({"repetition_penalty": 1.2}, "repetition_penalty", 1.2, "repetition_penalty"),
        ({"presence_penalty": 0.5}, "presence_penalty", 0.5, "presence_penalty"),
        ({"frequency_penalty": 0.5}, "frequency_penalty", 0.5, "frequency_penalty"),
        ({"stop_sequences": "a,\n,"}, "stop", ["a", "\n"], "stop_sequences"),
        ({"stop": "a,b", "stop_sequences": "c"}, "stop", ["a,b", "c"], "stop"),
        ({"stop": ["a"]}, "stop", ["a"], "stop"),
        ({"stop_sequences": ""}, "stop", None, ""),
        ({"seed": 5}, "seed", 5, "seed"),
        ({"seed": None}, "seed", None, ""),
    ],
)
def test_how_tokens_are_chosen(inputs: dict[str, Any], field: str, value: Any, called: str) -> None:
    found = text(**inputs)
    assert found.fields.get(field) == value
    assert found.names.get(field, "") == called


def test_who_is_spoken_to() -> None:
    system = {"role": "system", "content": "s"}
    assert text(system_prompt="s").fields["messages"] == [system, user("p")]
    assert text(system_prompt="").fields["messages"] == [user("p")]
    assert text(messages=[system]).fields["messages"] == [system]
    parts = [{"type": "image_url", "image_url": {"url": PNG}}, {"type": "text", "text": "p"}]
    assert text(image=PNG).fields["messages"] == [user(parts)]
    assert text(messages=[system], image=PNG).notes == ["image has no effect beside messages: put it into one of them."]


def test_a_template_of_the_clients_own_takes_the_place_of_the_models() -> None:
    assert text(prompt_template="{prompt}").kind == "chat"
    found = text(prompt_template="<s>{system_prompt}[{prompt}]", prompt="{system_prompt}", system_prompt="s")
    assert (found.kind, found.fields["prompt"]) == ("completion", "<s>s[{system_prompt}]")
    found = text({"chat"}, prompt_template="[{prompt}]", system_prompt="s")
    assert found.fields["messages"] == [user("[p]")]
    assert len(found.notes) == 1
    assert text({"completion"}, system_prompt="s").fields["prompt"] == "s\n\np"


def test_pictures() -> None:
    found = asked({"image"}, prompt="p", negative_prompt="n", width=64, height=32, num_outputs=2, seed=1)
    assert found.fields == {"prompt": "p", "negative_prompt": "n", "size": "64x32", "n": 2, "seed": 1}
    found = asked({"image"}, prompt="p", height=32, num_inference_steps=4, guidance_scale=2, output_format="jpg")
    assert found.fields == {
        "prompt": "p", "size": "32x32", "num_inference_steps": 4, "guidance_scale": 2, "output_format": "jpeg"
    }  # fmt: skip
    found = asked({"image"}, prompt="p", image="i", mask="m", prompt_strength=0.5)
    assert found.fields == {"prompt": "p", "image[]": [b"image: i"], "mask": b"mask: m", "strength": 0.5}
    assert len(asked({"image"}, prompt="p", prompt_strength=0.5).notes) == 1


def test_sounds_and_vectors() -> None:
    found = asked({"speech"}, text="t", voice="v", speed=2, format="mp3")
    assert found.fields == {"input": "t", "voice": "v", "speed": 2, "response_format": "mp3"}
    assert asked({"speech"}, prompt="t").fields == {"input": "t"}
    found = asked({"transcription"}, audio_file="a", language="de", task="translate")
    assert found.fields == {
        **{"file": b"audio_file: a", "language": "de", "task": "translate"},
        **{"response_format": "verbose_json", "timestamp_granularities[]": ["segment"]},
    }
    assert asked({"embedding"}, text="t").fields == {"input": "t"}
    assert asked({"embedding"}, texts=["a", "b"]).fields == {"input": ["a", "b"]}
    assert asked({"embedding"}, texts='["a"]').fields == {"input": ["a"]}


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("image", {"width": 1}),
        ("speech", {"voice": "v"}),
        ("embedding", {"texts": ["a"]}),
        ("transcription", {"audio": "a"}),
        ("chat", {}),
    ],
)
def test_a_model_of_all_kinds_is_asked_for_what_the_inputs_are_for(kind: Kind, inputs: dict[str, Any]) -> None:
    assert asked(set(INPUTS), prompt="p", **inputs).kind == kind


@pytest.mark.parametrize(
    ("kind", "inputs", "param"),
    [
        ("chat", {}, "prompt"),
        ("chat", {"prompt": 1}, "prompt"),
        ("chat", {"prompt": "p", "temperature": "hot"}, "temperature"),
        ("image", {"width": 1}, "prompt"),
        ("image", {"prompt": "p", "output_format": "bmp"}, "output_format"),
        ("speech", {"voice": "v"}, "text"),
        ("transcription", {}, "audio"),
        ("embedding", {}, "text"),
        ("embedding", {"texts": "a"}, "texts"),
        ("score", {}, "version"),
    ],
)
def test_what_cannot_be_asked(kind: Kind, inputs: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        asked({kind}, **inputs)
    assert refused.value.param == param


def test_unknown_inputs_are_told() -> None:
    assert text(odd=1).notes == ["The input odd is not known here and has no effect."]
    assert text(odd=None).notes == []


@pytest.mark.parametrize("kind", INPUTS)
def test_the_schema_tells_the_inputs(kind: Kind) -> None:
    parts = schema(Model(kinds=frozenset({kind})))["components"]["schemas"]
    assert parts["Input"]["properties"].keys() == set(INPUTS[kind].__struct_fields__)
    assert parts["Output"].items() >= OUTPUTS[kind].items()
    assert (parts["Output"].get("x-cog-array-type") == "iterator") == (kind in ("chat", "completion"))
