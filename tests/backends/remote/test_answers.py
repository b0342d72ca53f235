"""A server's answers as events, for those who did not ask in OpenAI's form."""

from __future__ import annotations

import array
import base64
import json
from typing import Any

import pytest

from backends.events import (
    Alternative,
    Candidate,
    Delta,
    Embedding,
    Event,
    Finish,
    PromptLogprobs,
    Relayed,
    Score,
    Segment,
    TokenLogprob,
    Tokens,
    ToolDelta,
    Usage,
    Word,
)
from backends.remote.answers import events_of_whole
from backends.remote.chunks import events_of
from backends.remote.unreadable import Unreadable
from backends.requests import (
    Audio,
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    Form,
    Request,
    ScoreRequest,
    TokenizeRequest,
    TranscriptionRequest,
)

CHAT = ChatRequest(model="ours", messages=())
EMBED = EmbeddingRequest(model="ours", inputs=("a",))
SCORE = ScoreRequest(model="ours", queries=("q",), documents=("a", "b"))
SPEECH = TranscriptionRequest(model="ours", audio=Audio(b"", "wav", 60))


def whole(request: Request, body: Any) -> list[Event]:
    return list(events_of_whole(request, json.dumps(body).encode()))


def chunk(**choice: Any) -> list[Event]:
    return list(events_of(json.dumps({"choices": [{"index": 1, **choice}]}).encode()))


def test_text_reasoning_and_ends() -> None:
    assert chunk(delta={"role": "assistant", "content": ""}) == []
    assert chunk(delta={"content": "a"}) == [Delta("a", 1)]
    assert chunk(delta={"reasoning_content": "r"}) == [Delta("", 1, "r")]
    assert chunk(delta={"reasoning": "r"}) == [Delta("", 1, "r")]
    assert chunk(text="t", finish_reason="length") == [Delta("t", 1), Finish("length", 1)]
    assert chunk(delta={}, finish_reason="function_call") == [Finish("tool_calls", 1)]
    assert chunk(delta={}, finish_reason="eos") == [Finish("stop", 1)]


def test_calls_in_pieces() -> None:
    pieces = [{"index": 2, "id": "c", "function": {"name": "f", "arguments": ""}}, {"function": {"arguments": "{"}}]
    assert chunk(delta={"tool_calls": pieces}) == [
        Delta("", 1, tool=ToolDelta(2, "c", "f", "")),
        Delta("", 1, tool=ToolDelta(1, None, None, "{")),
    ]


def test_log_probabilities_in_both_forms() -> None:
    content = [{"token": "é", "logprob": -1, "bytes": [195], "top_logprobs": [{"token": "b", "logprob": -2}]}]
    expected = (TokenLogprob("é", -1, b"\xc3", (Alternative("b", -2, b"b"),)),)
    assert chunk(delta={"content": "a"}, logprobs={"content": content}) == [Delta("a", 1, logprobs=expected)]
    legacy = {"tokens": ["a", "b"], "token_logprobs": [None, -1.5], "top_logprobs": [None, {"c": -2.0}]}
    assert chunk(text="ab", logprobs=legacy) == [
        Delta(
            "ab",
            1,
            logprobs=(TokenLogprob("a", None, b"a"), TokenLogprob("b", -1.5, b"b", (Alternative("c", -2.0, b"c"),))),
        )
    ]


def test_log_probabilities_of_the_prompt() -> None:
    places = [None, {"5": {"logprob": -1.0, "rank": 1, "decoded_token": "x"}}]
    body = {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "prompt_logprobs": places}
    assert whole(CHAT, body)[0] == PromptLogprobs((None, (Candidate(5, -1.0, 1, "x"),)))


def test_a_whole_chat_is_read_or_goes_on_under_our_name() -> None:
    body = {
        "model": "theirs",
        "choices": [{"index": 0, "message": {"content": '"model":"theirs"'}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}},
    }
    usage = Usage(prompt=3, completion=4, cached=2)
    assert whole(CHAT, body) == [Delta('"model":"theirs"'), Finish("stop"), usage]
    [relayed, told] = whole(ChatRequest(model="ours", messages=(), form=Form({})), body)
    assert isinstance(relayed, Relayed)
    assert json.loads(relayed.data) == body | {"model": "ours"}
    assert told == usage


def test_vectors_as_numbers_and_packed() -> None:
    packed = base64.b64encode(array.array("f", [1.0, 2.0]).tobytes()).decode()
    body = {
        "data": [{"index": 1, "embedding": [1.0, 2.0]}, {"index": 0, "embedding": packed}],
        "usage": {"prompt_tokens": 5},
    }
    vector = array.array("f", [1.0, 2.0]).tobytes()
    assert whole(EMBED, body) == [Embedding(vector, 1), Embedding(vector, 0), Usage(prompt=5)]


@pytest.mark.parametrize("order", [("model", "data", "usage"), ("data", "usage", "model")])
def test_vectors_that_go_on_are_read_at_their_ends_only(order: tuple[str, ...]) -> None:
    parts = {
        "model": "theirs",
        "data": [{"index": 0, "embedding": [0.5] * 2000}],
        "usage": {"prompt_tokens": 5, "total_tokens": 5},
    }
    body = {name: parts[name] for name in order}
    relayed, usage = whole(EmbeddingRequest(model="ours", inputs=("a",), form=Form({})), body)
    assert isinstance(relayed, Relayed)
    assert json.loads(relayed.data) == body | {"model": "ours"}
    assert usage == Usage(prompt=5)


def test_scores_of_both_routes() -> None:
    results = [{"index": 1, "relevance_score": 0.5}, {"index": 0, "relevance_score": 0.25}]
    assert whole(SCORE, {"results": results}) == [Score(0.5, 1), Score(0.25, 0), Usage()]
    assert whole(SCORE, {"data": [{"index": 0, "score": 0.5}, {"index": 1, "score": 0.1}]})[:1] == [Score(0.5, 0)]


def test_tokens_and_texts() -> None:
    tokens = whole(TokenizeRequest(model="ours", prompt="a"), {"tokens": [1, 2], "token_strs": ["a", "b"]})
    assert tokens == [Tokens((1, 2), ("a", "b"))]
    assert whole(DetokenizeRequest(model="ours", tokens=(1,)), {"prompt": "a"}) == [Tokens((), text="a")]


def test_transcripts() -> None:
    assert whole(SPEECH, {"text": "hi"}) == [Delta("hi"), Finish("stop"), Usage()]
    assert whole(SPEECH, {"text": "hi", "usage": {"type": "duration", "seconds": 2}})[-1] == Usage(seconds=2.0)
    tokens = {"type": "tokens", "input_tokens": 3, "output_tokens": 1, "total_tokens": 4}
    assert whole(SPEECH, {"text": "hi", "usage": tokens})[-1] == Usage(prompt=3, completion=1)
    segment = {"start": 0.5, "end": 1.0, "text": " hi", "tokens": [1], "avg_logprob": -0.5}
    timed = whole(SPEECH, {"text": "hi", "language": "en", "duration": "1.5", "segments": [segment]})
    assert timed == [Delta(" hi"), Segment(0.5, 1.0, " hi", (1,), -0.5, "en"), Finish("stop"), Usage(seconds=1.5)]


def test_words_of_transcripts() -> None:
    """Each is the segment's in which it begins; without segments they make one."""
    words = [{"word": "hi", "start": 0.5, "end": 0.7}, {"word": "you", "start": 2.5, "end": 2.7}]
    segments = [{"start": 0.0, "end": 2.0, "text": " hi", "temperature": 0.2, "no_speech_prob": 0.1}]
    segments += [{"start": 2.0, "end": 2.4, "text": " you"}]
    hi, you = Word(" hi", 0.5, 0.7), Word(" you", 2.5, 2.7)
    told = whole(SPEECH, {"text": "hi you", "words": words, "segments": segments})
    assert [event for event in told if isinstance(event, Segment)] == [
        Segment(0.0, 2.0, " hi", words=(hi,), temperature=0.2, silence=0.1),
        Segment(2.0, 2.4, " you", words=(you,)),
    ]
    told = whole(SPEECH, {"text": "hi you", "words": words})
    assert told[:2] == [Delta("hi you"), Segment(0.5, 2.7, "hi you", words=(hi, you))]


def test_log_probabilities_of_transcripts() -> None:
    tokens = [{"token": "hi", "logprob": -0.5, "bytes": [104, 105]}, {"token": "!", "logprob": -1}]
    [delta, *_] = whole(SPEECH, {"text": "hi!", "logprobs": tokens})
    assert delta == Delta("hi!", logprobs=(TokenLogprob("hi", -0.5, b"hi"), TokenLogprob("!", -1.0, b"!")))


@pytest.mark.parametrize(
    ("request_", "body"),
    [
        (CHAT, b"{"),
        (CHAT, b"[]"),
        (CHAT, b'{"choices":5}'),
        (CompletionRequest(model="ours", prompts=(), form=Form({})), b"{}"),
        (EMBED, b'{"data":[{"embedding":"?"}]}'),
        (EmbeddingRequest(model="ours", inputs=(), form=Form({})), b'{"data":[1,2'),
        (EmbeddingRequest(model="ours", inputs=(), form=Form({})), b"{}"),
        (SCORE, b'{"results":[{"index":0,"relevance_score":1}]}'),
        (SCORE, b'{"results":[{"index":0,"score":1},{"index":7,"score":1}]}'),
        (TokenizeRequest(model="ours", prompt="a"), b"{}"),
        (SPEECH, b'{"text":5}'),
    ],
)
def test_what_is_no_answer_is_refused(request_: Request, body: bytes) -> None:
    with pytest.raises(Unreadable):
        list(events_of_whole(request_, body))
