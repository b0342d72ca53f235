"""Each route of the fake upstream, with the SDK where that knows it."""

from __future__ import annotations

import base64
import importlib
import io
import json
import urllib.error
import urllib.request
from typing import Any

import openai
import pytest
from PIL import Image

from tests.sounds import tone
from tests.upstream import Upstream

QUESTION: Any = [{"role": "user", "content": "hello"}]
TOOLS: Any = [{"type": "function", "function": {"name": name}} for name in ("first", "second")]


def post(fake: Upstream, path: str, **body: Any) -> Any:
    """The answer to a POST of this JSON."""
    head = {"content-type": "application/json"}
    request = urllib.request.Request(fake.url + path, json.dumps({"model": "fake", **body}).encode(), head)
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def test_a_chat(fake: Upstream) -> None:
    answer = fake.client().chat.completions.create(model="fake", messages=QUESTION, n=2)
    assert [choice.message.content for choice in answer.choices] == ["".join(f"{k:07d} " for k in range(16))] * 2
    assert [choice.finish_reason for choice in answer.choices] == ["stop", "stop"]
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (9, 32)
    assert answer.system_fingerprint == "fake"


@pytest.mark.parametrize("asked", [True, False])
def test_a_streamed_chat(fake: Upstream, asked: bool) -> None:
    fake.script(chunks=5, size=4)
    options: Any = {"include_usage": True} if asked else {"include_usage": False}
    chunks = list(
        fake.client().chat.completions.create(model="fake", messages=QUESTION, stream=True, stream_options=options, n=2)
    )
    for index in (0, 1):
        own = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert own[0].delta.role == "assistant"
        assert [choice.delta.content for choice in own[1:-1]] == ["000 ", "001 ", "002 ", "003 ", "004 "]
        assert [choice.finish_reason for choice in own] == [None] * 6 + ["stop"]
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert [usage.completion_tokens for usage in usages] == ([10] if asked else [])
    assert len({chunk.id for chunk in chunks}) == 1


def test_a_text_of_ones_own(fake: Upstream) -> None:
    fake.script(text='Grüße, "Welt"\n', size=3)
    client = fake.client()
    answer = client.chat.completions.create(model="fake", messages=QUESTION)
    assert answer.choices[0].message.content == 'Grüße, "Welt"\n'
    stream = client.chat.completions.create(model="fake", messages=QUESTION, stream=True)
    pieces = [chunk.choices[0].delta.content for chunk in stream]
    assert pieces[1:-1] == ["Grü", "ße,", ' "W', "elt", '"\n']


def test_calls(fake: Upstream) -> None:
    fake.script(calls=2)
    client = fake.client()
    answer = client.chat.completions.create(model="fake", messages=QUESTION, tools=TOOLS)
    assert answer.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in answer.choices[0].message.tool_calls or []] == ["first", "second"]  # type: ignore[union-attr]
    with client.chat.completions.stream(model="fake", messages=QUESTION, tools=TOOLS) as stream:
        final = stream.get_final_completion().choices[0]
    assert [call.function.arguments for call in final.message.tool_calls or []] == ["{}", "{}"]
    assert final.finish_reason == "tool_calls"
    forbidden = client.chat.completions.create(model="fake", messages=QUESTION, tools=TOOLS, tool_choice="none")
    assert forbidden.choices[0].message.tool_calls is None


@pytest.mark.parametrize(("prompt", "choices"), [("a", 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2)])
def test_a_completion(fake: Upstream, prompt: Any, choices: int) -> None:
    fake.script(chunks=3)
    answer = fake.client().completions.create(model="fake", prompt=prompt)
    assert [choice.text for choice in answer.choices] == ["0000000 0000001 0000002 "] * choices
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3 * choices


def test_a_streamed_completion(fake: Upstream) -> None:
    fake.script(chunks=3)
    # The strict SDK refuses a finish reason of null, which OpenAI sends.
    options: Any = {"include_usage": True}
    with openai.OpenAI(base_url=fake.base_url, api_key="none") as client:
        chunks = list(client.completions.create(model="fake", prompt="a", stream=True, stream_options=options))
    assert [chunk.choices[0].text for chunk in chunks[:-1]] == ["0000000 ", "0000001 ", "0000002 ", ""]
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 3


def test_embeddings(fake: Upstream) -> None:
    asked: Any = {"model": "fake", "input": ["a", "b", "c"], "dimensions": 3}
    answer = fake.client().embeddings.create(**asked, encoding_format="float")
    expected = [[float(number), 0.0078125, 0.0078125] for number in range(3)]
    assert [each.embedding for each in answer.data] == expected
    assert [each.index for each in answer.data] == [0, 1, 2]
    packed = post(fake, "/v1/embeddings", **asked, encoding_format="base64")["data"]
    assert [each["embedding"] for each in packed] == ["AAAAAAAAADwAAAA8", "AACAPwAAADwAAAA8", "AAAAQAAAADwAAAA8"]
    # By itself the SDK asks for base64, which its own strict mode refuses.
    with openai.OpenAI(base_url=fake.base_url, api_key="none") as client:
        assert [each.embedding for each in client.embeddings.create(**asked).data] == expected


def test_embeddings_of_megabytes(fake: Upstream) -> None:
    fake.script(dimensions=250_000)
    answer = fake.client().embeddings.create(model="fake", input=[[1], [2, 3]], encoding_format="float")
    assert [len(each.embedding) for each in answer.data] == [250_000] * 2
    assert len(json.dumps(post(fake, "/v1/embeddings", input=[1, 2]))) > 2_000_000


@pytest.mark.parametrize("path", ["/v1/rerank", "/rerank", "/v2/rerank"])
def test_rerank(fake: Upstream, path: str) -> None:
    answer = post(fake, path, query="q", documents=["a", {"text": "b"}, "c", "d"], top_n=3)
    assert [result["index"] for result in answer["results"]] == [3, 2, 1]
    assert answer["results"][2] == {"index": 1, "relevance_score": 0.5, "document": {"text": "b"}}
    bare = post(fake, path, query="q", documents=["a"], return_documents=False)
    assert bare["results"] == [{"index": 0, "relevance_score": 1.0}]


@pytest.mark.parametrize("path", ["/v1/score", "/score"])
def test_score(fake: Upstream, path: str) -> None:
    answer = post(fake, path, queries="q", documents=["a", "b"])
    assert [each["score"] for each in answer["data"]] == [0.5, 1.0]
    assert [each["score"] for each in post(fake, path, text_1="q", text_2="a")["data"]] == [1.0]


@pytest.mark.parametrize("prefix", ["", "/v1"])
def test_tokens_and_back(fake: Upstream, prefix: str) -> None:
    answer = post(fake, f"{prefix}/tokenize", prompt="aß", return_token_strs=True)
    assert (answer["count"], answer["tokens"], len(answer["token_strs"])) == (3, [97, 195, 159], 3)
    assert post(fake, f"{prefix}/tokenize", messages=QUESTION)["count"] == 5
    assert post(fake, f"{prefix}/detokenize", tokens=[97, 195, 159]) == {"prompt": "aß"}


def test_transcriptions(fake: Upstream) -> None:
    fake.script(text="some words", size=5)
    sounds = fake.client().audio.transcriptions
    file = ("a.wav", tone(0.1), "audio/wav")
    assert sounds.create(model="fake", file=file).text == "some words"
    assert sounds.create(model="fake", file=file, response_format="text") == "some words\n"
    told = sounds.create(model="fake", file=file, response_format="verbose_json", language="de")
    assert (told.language, [each.text for each in told.segments or []]) == ("de", ["some words"])
    assert "some words" in sounds.create(model="fake", file=file, response_format="srt")
    assert sounds.create(model="fake", file=file, response_format="vtt").startswith("WEBVTT")
    with pytest.deprecated_call():
        assert fake.client().audio.translations.create(model="fake", file=file).text == "some words"
    with pytest.raises(openai.NotFoundError):
        sounds.create(model="nobody", file=file)


def test_a_streamed_transcription(fake: Upstream) -> None:
    fake.script(text="some words", size=5)
    stream = fake.client().audio.transcriptions.create(model="fake", file=("a.wav", b"x"), stream=True)
    events = list(stream)
    assert [event.delta for event in events if event.type == "transcript.text.delta"] == ["some ", "words"]
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == "some words"


def test_pictures_and_sounds(fake: Upstream) -> None:
    answer = fake.client().images.generate(model="fake", prompt="p", n=2)
    assert answer.data is not None
    assert len(answer.data) == 2
    picture = urllib.request.urlopen(f"data:image/png;base64,{answer.data[0].b64_json}").read()
    assert Image.open(io.BytesIO(picture)).size == (1, 1)
    linked = fake.client().images.generate(model="fake", prompt="p", response_format="url").data
    assert linked is not None
    assert (linked[0].url or "").startswith("data:image/png")
    assert linked[0].b64_json is None


@pytest.mark.parametrize(
    ("format", "kind", "seconds"),
    [
        ("mp3", "audio/mpeg", 0.52),
        ("opus", "audio/opus", 0.5),
        ("aac", "audio/aac", 0.64),
        ("flac", "audio/flac", 0.5),
        ("wav", "audio/wav", 0.5),
    ],
)
def test_speech_is_a_sound_of_its_format(fake: Upstream, format: Any, kind: str, seconds: float) -> None:
    fake.script(chunks=5)
    speech = fake.client().audio.speech
    raw = speech.with_raw_response.create(model="fake", voice="alloy", input="hello", response_format=format)
    assert (raw.headers["content-type"], raw.headers["transfer-encoding"]) == (kind, "chunked")
    av: Any = importlib.import_module("av")
    with av.open(io.BytesIO(raw.content)) as reader:
        assert sum(frame.samples / frame.sample_rate for frame in reader.decode(audio=0)) == pytest.approx(
            seconds, abs=0.01
        )
    events = speech.create(model="fake", voice="x", input="hello", response_format=format, stream_format="sse")
    *deltas, done = [json.loads(line[6:]) for line in events.read().split(b"\n\n") if line]
    assert b"".join(base64.b64decode(each["audio"]) for each in deltas) == raw.content
    assert done["usage"] == {"input_tokens": 1, "output_tokens": 5, "total_tokens": 6}


def test_bare_samples_and_what_it_refuses_to_say(fake: Upstream) -> None:
    fake.script(chunks=5)
    speech = fake.client().audio.speech
    given: Any = {"model": "fake", "voice": "alloy", "input": "hello"}
    assert len(speech.create(**given, response_format="pcm").read()) == 5 * 3200
    assert speech.create(**given).read()[:2] == b"\xff\xfb"
    for wrong in ({"response_format": "ogg"}, {"speed": 5.0}, {"stream_format": "x"}, {"input": ""}):
        with pytest.raises(openai.BadRequestError):
            speech.create(**given | wrong)


def test_pictures_of_pictures(fake: Upstream) -> None:
    images = fake.client().images
    file = ("a.png", b"x", "image/png")
    edited: Any = images.edit(model="fake", prompt="two words", image=[file, file], size="30x20")
    picture = base64.b64decode(edited.data[0].b64_json)
    assert Image.open(io.BytesIO(picture)).size == (30, 20)
    assert (edited.usage.input_tokens, edited.usage.input_tokens_details.image_tokens) == (7, 5)
    with pytest.deprecated_call():
        varied = images.create_variation(model="fake", image=file, n=2).data
    assert varied is not None
    assert len(varied) == 2
    with pytest.raises(openai.BadRequestError):
        images.generate(model="fake", prompt="p", n=11)


def test_streamed_pictures(fake: Upstream) -> None:
    images = fake.client().images
    made = list(images.generate(model="fake", prompt="p", stream=True, partial_images=2))
    assert [each.type.partition(".")[2] for each in made] == ["partial_image", "partial_image", "completed"]
    edits = images.edit(model="fake", prompt="p", image=("a.png", b"x"), stream=True, partial_images=0)
    assert [each.type for each in edits] == ["image_edit.completed"]


def test_models(fake: Upstream) -> None:
    client = fake.client()
    assert [model.id for model in client.models.list()] == ["fake", "org/other"]
    assert client.models.retrieve("org/other").id == "org/other"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody")
    assert caught.value.code == "model_not_found"


def test_refusals(fake: Upstream) -> None:
    client = fake.client()
    with pytest.raises(openai.NotFoundError) as missing:
        client.chat.completions.create(model="nobody", messages=QUESTION)
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="", messages=QUESTION)
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="fake", messages=QUESTION, n=1000)
    for path, status in (("/v1/nothing", 404), ("/v1/chat/completions", 405)):
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(fake.url + path)
        assert caught.value.code == status
        assert json.loads(caught.value.read())["error"]["code"]
        caught.value.close()
