"""Events of predictions as they arrive."""

from __future__ import annotations

import http.client
import json
import threading
import time
from typing import Any

import pytest

from tests.dialects.predictions.calls import (
    PREDICTIONS,
    RUN_SSE,
    create,
    events,
    get,
    post,
    prediction,
    refusal,
    run,
    said,
    wait_for,
)
from tests.running import Running

DONE = ("done", "end", "{}")


def streamed(server: Running, model: str, **inputs: Any) -> tuple[str, list[tuple[str, str, str]]]:
    answer = post(server, RUN_SSE, {"model": model, "input": inputs})
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    return answer.headers["x-prediction-id"], events(answer.body)


def test_run_sse_says_it_piece_by_piece(predicting: Running) -> None:
    id, found = streamed(predicting, "echo", prompt="one two\n\nthree ", odd=1)
    assert found[0] == ("logs", "0", "The input odd is not known here and has no effect.")
    pieces = [(name, id.rpartition("-")[2], text) for name, id, text in found[1:5]]
    assert pieces == [
        ("output", "1", "one"),
        ("output", "2", " two"),
        ("output", "3", "\n\nthree"),
        ("output", "4", " "),
    ]
    assert found[5:] == [DONE]
    told = prediction(get(predicting, f"{PREDICTIONS}/{id}"))
    assert "".join(told["output"]) == said(found)


def test_what_readers_take_for_the_end_of_a_line_is_one(predicting: Running) -> None:
    _, found = streamed(predicting, "shouting", prompt="a")
    assert said(found) == "a\nb\nc\nd\ne f"


def test_a_finished_prediction_is_told_again_and_from_any_place(predicting: Running) -> None:
    told = run(predicting, "echo", prompt="one two three")
    url = told["urls"]["stream"]
    whole = events(get(predicting, url).body)
    assert [name for name, _, _ in whole] == ["output", "output", "output", "done"]
    assert len({id for _, id, _ in whole}) == 4
    for place, (_, id, _) in enumerate(whole[:3]):
        assert events(get(predicting, url, last_event_id=id).body) == whole[place + 1 :]
    assert events(get(predicting, url, last_event_id="end").body) == [DONE]
    assert events(get(predicting, url, last_event_id="nonsense").body) == whole


def test_a_failure_is_an_event_before_the_end(predicting: Running) -> None:
    _, found = streamed(predicting, "broken", prompt="one two three")
    assert [name for name, _, _ in found] == ["output", "output", "error", "done"]
    assert json.loads(found[2][2])["detail"]
    assert found[3][2] == '{"reason":"error"}'


def test_the_end_of_one_run_is_not_told_after_the_beginning_of_another(predicting: Running) -> None:
    id, found = streamed(predicting, "broken", prompt="one two three")
    path = f"{PREDICTIONS}/{id}/stream"
    assert events(get(predicting, path, last_event_id=found[0][1]).body) == found[1:]
    assert post(predicting, f"/admin/jobs/{id}/retry").status == 200
    told = events(get(predicting, path, last_event_id=found[0][1]).body)
    assert [name for name, _, _ in told] == ["error", "done"]
    assert "anew" in told[0][2]
    assert said(events(get(predicting, path).body)) == said(found)


def test_two_read_one_that_is_canceled(predicting: Running) -> None:
    told = create(predicting)
    found: list[list[tuple[str, str, str]]] = []
    readers = [
        threading.Thread(target=lambda: found.append(events(get(predicting, told["urls"]["stream"]).body)))
        for _ in range(2)
    ]
    for reader in readers:
        reader.start()
    while not prediction(get(predicting, told["urls"]["get"]))["output"]:
        time.sleep(0.01)
    post(predicting, f"{PREDICTIONS}/{told['id']}/cancel")
    for reader in readers:
        reader.join(10)
    assert found[0] == found[1]
    assert found[0][-1] == ("done", "end", '{"reason":"canceled"}')
    assert said(found[0]) == "".join(prediction(get(predicting, told["urls"]["get"]))["output"])


class Reading:
    """A stream that is read line by line."""

    def __init__(self, server: Running, path: str, body: Any = None) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
        data = None if body is None else json.dumps(body).encode()
        head = {"content-type": "application/json"} if data else {}
        self.connection.request("GET" if body is None else "POST", path.removeprefix(server.url), data, head)
        self.answer = self.connection.getresponse()

    def until(self, line: bytes) -> None:
        while (found := self.answer.readline()) != line:
            assert found

    def close(self) -> None:
        self.answer.close()
        self.connection.close()


def test_the_first_piece_leaves_at_once(predicting: Running) -> None:
    began = time.monotonic()
    reading = Reading(predicting, RUN_SSE, {"model": "org/slow", "input": {"prompt": "a"}})
    reading.until(b"event: output\n")
    assert time.monotonic() - began < 0.5
    reading.close()


def test_who_leaves_run_sse_cancels_it_and_who_leaves_a_stream_does_not(predicting: Running) -> None:
    reading = Reading(predicting, RUN_SSE, {"model": "org/slow", "input": {"prompt": "a"}})
    reading.until(b"event: output\n")
    id = reading.answer.headers["x-prediction-id"]
    other = Reading(predicting, f"{PREDICTIONS}/{id}/stream")
    other.until(b"event: output\n")
    reading.close()
    time.sleep(0.2)
    assert prediction(get(predicting, f"{PREDICTIONS}/{id}"))["status"] == "processing"  # somebody reads on
    other.close()
    prediction(post(predicting, f"{PREDICTIONS}/{id}/cancel"))
    reading = Reading(predicting, RUN_SSE, {"model": "org/slow", "input": {"prompt": "a"}})
    reading.until(b"event: output\n")
    id = reading.answer.headers["x-prediction-id"]
    reading.close()
    assert wait_for(predicting, id, "canceled", "succeeded")["status"] == "canceled"


def test_what_is_asked_in_vain_is_no_stream(predicting: Running) -> None:
    refusal(post(predicting, RUN_SSE, {"model": "none", "input": {"prompt": "a"}}), 422, "model")
    refusal(post(predicting, RUN_SSE, {"model": "echo"}), 422, "input")
    refusal(get(predicting, f"{PREDICTIONS}/none/stream"), 404)


@pytest.mark.parametrize("kind", ["speech", "embedding"])
def test_other_kinds_stream_their_result(predicting: Running, kind: str) -> None:
    inputs: dict[str, Any] = {"text": "one", "voice": "alloy"} if kind == "speech" else {"texts": ["a"]}
    id, found = streamed(predicting, "echo", **inputs)
    output = prediction(get(predicting, f"{PREDICTIONS}/{id}"))["output"]
    assert found[-1] == DONE
    assert (said(found) if kind == "speech" else json.loads(said(found))) == output
