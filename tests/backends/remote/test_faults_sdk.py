"""What the openai SDK makes of faults: which exception, after how many requests of its own."""

from __future__ import annotations

from collections.abc import Iterator

import openai
import pytest

from tests.backends.remote.asking import SAID, asked
from tests.backends.remote.conftest import Pair, own_client


@pytest.fixture
def client(pair: Pair) -> Iterator[openai.OpenAI]:
    """Strict, and with the retries that it has by default."""
    with pair.server.client(max_retries=2, timeout=10) as client:
        yield client


@own_client
@pytest.mark.parametrize(
    ("fault", "kind", "code"),
    [
        ("close-before", openai.InternalServerError, "engine_failed"),
        ("status-500", openai.InternalServerError, "engine_failed"),
        ("wrong-type", openai.InternalServerError, "engine_failed"),
        ("stall-before", openai.InternalServerError, "upstream_timeout"),
        ("status-400", openai.BadRequestError, "invalid_value"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_it_does_not_repeat_what_may_have_begun(
    pair: Pair, client: openai.OpenAI, fault: str, kind: type[openai.APIStatusError], code: str, stream: bool
) -> None:
    """Left to itself it would ask three times."""
    pair.bad.script(fault=fault)
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model="alone", messages=SAID, stream=stream)
    assert caught.value.code == code
    assert pair.counts() == (1, 0)


@own_client
@pytest.mark.parametrize("fault", ["close-after-3", "malformed-sse", "error-event", "error-event-done"])
def test_a_broken_stream_raises_behind_its_chunks(pair: Pair, client: openai.OpenAI, fault: str) -> None:
    pair.bad.script(chunks=8, delay=0.005, fault=fault)
    texts: list[str | None] = []
    stream = client.chat.completions.create(model="alone", messages=SAID, stream=True)
    with pytest.raises(openai.APIError) as caught:
        texts.extend(chunk.choices[0].delta.content for chunk in stream)
    assert caught.value.code == "engine_failed"
    assert "request req_" in caught.value.message
    assert len([text for text in texts if text]) in (3, 4)
    assert pair.counts() == (1, 0)


@own_client
def test_it_comes_again_where_nothing_was_begun(pair: Pair, client: openai.OpenAI) -> None:
    pair.bad.script(fault="status-503", retry_after=0.2)
    with pytest.raises(openai.InternalServerError):
        client.with_options(max_retries=0).chat.completions.create(model="alone", messages=SAID)
    pair.bad.script(fault=None)
    assert client.chat.completions.create(model="alone", messages=SAID).choices[0].message.content


@pytest.mark.parametrize("key", [None, "once"])
def test_an_error_in_place_of_the_first_event_is_a_status(pair: Pair, key: str | None) -> None:
    """Nothing has reached the client: it may yet read a status, or another's answer."""
    pair.bad.script(chunks=1, fault="error-event")
    path = "/v1/completions"
    answer = asked(pair.server, "pair", path=path, prompt="x", user=pair.user, stream=True, key=key)
    if key is None:
        assert (answer.status, answer.code) == (500, "engine_failed")
        assert pair.counts() == (1, 0)
    else:
        assert (answer.done, answer.clean) == (True, True)
        assert pair.counts() == (1, 1)
