"""Models that stand in for one another: when, with whose name, and when not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from tests.conftest import Serve, servers
from tests.running import NotServing, Running
from tests.sounds import tone
from tests.upstream import Upstream, threaded

SAID: Any = [{"role": "user", "content": "Hello"}]
CONFIG = """
default_model = "small"
[server]
grace = 0.0
drain = 1.0

[models.big]
backend = "remote"
upstreams = [{{ url = "{url}" }}]
fallback = ["closed", "small"]

[models.closed]
backend = "remote"
upstreams = [{{ url = "http://127.0.0.1:9" }}]
fallback = ["small"]

[models.alone]
backend = "remote"
upstreams = [{{ url = "http://127.0.0.1:9" }}]

[models.small]
backend = "echo"
"""


@pytest.fixture(scope="module")
def fake() -> Iterator[Upstream]:
    with threaded(models=("big",)) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(fake: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with servers(tmp_path_factory.mktemp("fallback")) as start:
        yield start(CONFIG.format(url=fake.url))


@pytest.fixture
def client(server: Running, fake: Upstream) -> Iterator[openai.OpenAI]:
    fake.reset()
    with openai.OpenAI(
        base_url=server.base_url, api_key="none", max_retries=0, timeout=30, _strict_response_validation=True
    ) as client:
        yield client


def test_a_model_that_cannot_begin_is_stood_in_for_by_the_next(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="closed", messages=SAID)
    assert answer.model == "small"
    assert answer.choices[0].message.content
    chunks = list(
        client.chat.completions.create(
            model="closed", messages=SAID, stream=True, stream_options={"include_usage": True}
        )
    )
    assert {chunk.model for chunk in chunks} == {"small"}
    assert client.completions.create(model="closed", prompt="Hello").model == "small"


def test_while_it_can_the_model_answers_itself(client: openai.OpenAI) -> None:
    assert client.chat.completions.create(model="big", messages=SAID).model == "big"


def test_too_long_a_prompt_goes_to_the_next(client: openai.OpenAI, fake: Upstream) -> None:
    fake.script(fault="status-400", code="context_length_exceeded")
    assert client.chat.completions.create(model="big", messages=SAID).model == "small"


def test_what_is_wrong_or_was_begun_goes_nowhere_else(client: openai.OpenAI, fake: Upstream) -> None:
    fake.script(fault="status-400")
    with pytest.raises(openai.BadRequestError):
        client.chat.completions.create(model="big", messages=SAID)
    fake.script(fault="status-500")
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="big", messages=SAID)
    fake.script(fault="reset-after-2")
    texts: list[Any] = []
    with pytest.raises(openai.APIError):
        texts.extend(client.chat.completions.create(model="big", messages=SAID, stream=True))
    assert {chunk.model for chunk in texts} == {"big"}


def test_a_model_that_cannot_do_what_is_asked_is_passed_over(client: openai.OpenAI) -> None:
    with pytest.raises(openai.InternalServerError) as refused:
        client.chat.completions.create(model="closed", messages=SAID, extra_body={"regex": "a"})  # echo has no regex
    assert refused.value.status_code == 503
    assert refused.value.code == "engine_unavailable"


@pytest.mark.parametrize("speed", [1.0, 2.0])
def test_speech(client: openai.OpenAI, speed: float) -> None:
    said: Any = {"voice": "alloy", "input": "One, two.", "response_format": "pcm", "speed": speed}
    spoken = client.audio.speech.create(model="closed", **said)
    assert spoken.read() == client.audio.speech.create(model="small", **said).read()
    assert spoken.response.headers["content-type"] == "audio/pcm"


def test_speech_that_would_not_be_what_was_promised(client: openai.OpenAI) -> None:
    """A remote model may follow instructions; echo ignores them, which the headers would have to say."""
    with pytest.raises(openai.InternalServerError) as refused:
        client.audio.speech.create(model="closed", voice="alloy", input="One.", instructions="Whisper.")
    assert refused.value.code == "engine_unavailable"


@pytest.mark.parametrize("stream", [False, True])
def test_transcription(client: openai.OpenAI, stream: bool) -> None:
    heard: Any = [
        client.audio.transcriptions.create(model=model, file=("a.wav", tone(1.0)), stream=stream)
        for model in ("closed", "small")
    ]
    told, own = ([*map(str, answer)] if stream else answer.text for answer in heard)
    assert told
    assert told == own


def test_pictures(client: openai.OpenAI) -> None:
    drawn = [
        client.images.generate(model=model, prompt="A red circle", size="256x256", extra_body={"seed": 1}).data
        for model in ("closed", "small")
    ]
    assert drawn[0]
    assert drawn[0] == drawn[1]


def test_without_a_fallback_it_is_refused(server: Running) -> None:
    answer = httpx2.post(f"{server.base_url}/chat/completions", json={"model": "alone", "messages": SAID})
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "engine_unavailable"
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("fallback", "said"), [('["smal"]', 'did you mean "small"'), ('["big"]', "cannot fall back to itself")]
)
def test_what_it_falls_back_to_is_checked(serve: Serve, fallback: str, said: str) -> None:
    config = CONFIG.format(url="http://127.0.0.1:9").replace('["closed", "small"]', fallback)
    with pytest.raises(NotServing, match=said):
        serve(config)
