"""Predictions of every kind, by the model that says back what it hears: inputs have their effect."""

from __future__ import annotations

import base64
import io
from typing import Any

import pytest
from PIL import Image

from tests.dialects.predictions.calls import PREDICTIONS, RUN, get, post, prediction, refusal, run
from tests.pictures import picture
from tests.running import Running


def opened(uri: str) -> Image.Image:
    head, _, data = uri.partition(";base64,")
    assert head.startswith("data:image/")
    return Image.open(io.BytesIO(base64.b64decode(data)))


def as_uri(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def test_text(predicting: Running) -> None:
    assert run(predicting, "echo", prompt="a b c d", max_new_tokens=2)["output"] == ["a", " b"]
    assert run(predicting, "echo", prompt="a b c d", stop_sequences=" c,x")["output"] == ["a", " b"]
    told = run(predicting, "echo", prompt="a", prompt_template="<s>{prompt}</s>")
    assert told["output"] == ["<s>a</s>"]
    assert run(predicting, "echo", messages=[{"role": "user", "content": "m"}], prompt="p")["output"] == ["m"]
    assert "".join(run(predicting, "echo", prompt="p", image=as_uri(picture()))["output"]) == "image 60x40 p"


@pytest.mark.parametrize(("kind", "shown"), [("png", "PNG"), ("jpg", "JPEG"), ("webp", "WEBP")])
def test_pictures(predicting: Running, kind: str, shown: str) -> None:
    told = run(predicting, "echo", prompt="a", width=64, height=64, num_outputs=2, output_format=kind)
    assert [(opened(each).format, opened(each).size) for each in told["output"]] == [(shown, (64, 64))] * 2
    assert told["logs"].startswith("100%|")
    listed = get(predicting, PREDICTIONS).json["results"][0]
    assert (listed["id"], listed["output"]) == (told["id"], None)


def test_pictures_that_are_changed(predicting: Running) -> None:
    told = run(predicting, "echo", prompt="a", width=64, height=64, image=as_uri(picture(size=(64, 64))))
    assert opened(told["output"][0]).size == (64, 64)


def test_speech_and_back(predicting: Running) -> None:
    said = run(predicting, "echo", text="hello", format="wav")
    assert said["output"].startswith("data:audio/wav;base64,UklGR")
    heard = run(predicting, "echo", audio=said["output"])
    assert heard["output"].keys() >= {"text", "segments"}
    assert heard["output"]["text"]
    assert heard["output"]["segments"][0].keys() == {"start", "end", "text"}
    translated = run(predicting, "echo", audio=said["output"], task="translate")
    assert translated["output"]["text"] != heard["output"]["text"]


def test_vectors(predicting: Running) -> None:
    one = run(predicting, "echo", texts=["a"])["output"]
    assert [len(each) for each in one] == [16]
    assert [len(each) for each in run(predicting, "echo", texts='["a", "b"]')["output"]] == [16, 16]


def body(model: str = "echo", **inputs: Any) -> dict[str, Any]:
    return {"version": model, "input": inputs}


@pytest.mark.parametrize(
    ("inputs", "field"),
    [
        ({"prompt": "a", "max_new_tokens": 0}, "input.max_new_tokens"),
        ({"prompt": "a", "temperature": 9}, "input.temperature"),
        ({"prompt": "a", "top_k": 5}, "input.top_k"),
        ({"prompt": "a", "image": "data:image/png;base64,AA=="}, "input.image"),
        ({"prompt": "a", "system_prompt": "b", "image": "data:image/png;base64,!"}, "input.image"),
        ({"prompt": "a", "image": "https://127.0.0.1/a.png"}, "input.image"),
        ({"prompt": "a", "width": 63}, "input.width"),
        ({"prompt": "a", "width": 64, "image": "a.png"}, "input.image"),
        ({"prompt": "a", "width": 64, "image": "http://example.org/a.png"}, "input.image"),
        ({"prompt": "a", "num_outputs": 99}, "input.num_outputs"),
        ({"audio": "data:audio/wav;base64,!"}, "input.audio"),
        ({"audio": "data:audio/wav;base64,AAAA"}, "input.audio"),
        ({"audio": "https://example.org/a.wav"}, "input.audio"),
        ({"text": "a", "speed": 9}, "input.speed"),
        ({"texts": [""]}, "input.texts"),
        ({"messages": [{"role": "nobody", "content": "a"}]}, "input.messages"),
        ({"prompt": 5}, "input.prompt"),
    ],
)
def test_an_input_that_is_refused_is_named_as_the_client_named_it(
    predicting: Running, inputs: dict[str, Any], field: str
) -> None:
    refusal(post(predicting, PREDICTIONS, body(**inputs)), 422, field)


@pytest.mark.parametrize(
    ("data", "status", "field"),
    [
        (b"{", 400, None),
        (b"[]", 400, None),
        (b'{"version": "echo", "version": "echo", "input": {}}', 400, "version"),
        (b'{"version": "echo"}', 422, "input"),
        (b'{"version": "echo", "input": "a"}', 422, "input"),
        (b'{"version": 5, "input": {}}', 422, "version"),
        (b'{"input": {"prompt": "a"}}', 422, "version"),
        (b'{"version": "echo", "input": {}}', 422, "input.prompt"),
        (b'{"version": "echo", "input": {"prompt": "a"}, "webhook": "https://example.org/"}', 422, "webhook"),
        (
            b'{"version": "echo", "input": {"prompt": "a"}, "webhook_completed": "https://e.org"}',
            422,
            "webhook_completed",
        ),
    ],
)
def test_a_body_that_is_refused(predicting: Running, data: bytes, status: int, field: str | None) -> None:
    refusal(post(predicting, PREDICTIONS, data), status, field)


def test_refusals_of_every_stage_are_problems(predicting: Running) -> None:
    refusal(get(predicting, f"{PREDICTIONS}/none"), 404)
    refusal(post(predicting, f"{PREDICTIONS}/none/cancel"), 404)
    refusal(get(predicting, RUN), 405)
    refusal(post(predicting, PREDICTIONS, b"{}", content_type="text/plain"), 415)
    for path in ("/v1/deployments", "/v1/trainings", "/v1/collections", "/v1/hardware", "/v1/webhooks/default/secret"):
        assert get(predicting, path).status == 404


def test_a_prediction_has_its_input_as_it_was_sent(predicting: Running) -> None:
    sent = {"prompt": "a", "odd": None, "stop": ["b"], "nested": {"ü": [1, 2.5]}}
    told = prediction(post(predicting, RUN, {"model": "echo", "input": sent}))
    assert told["input"] == sent
