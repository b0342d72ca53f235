"""Predictions made, waited for, looked at, listed and canceled over plain HTTP."""

from __future__ import annotations

import http.client
import itertools
import json
import time
from typing import Any

import pytest

from tests.dialects.openai.local import ask
from tests.dialects.predictions.calls import (
    PREDICTIONS,
    RUN,
    TIME,
    create,
    get,
    post,
    prediction,
    refusal,
    run,
    wait_for,
)
from tests.running import Running


def body(model: str = "echo", **inputs: Any) -> dict[str, Any]:
    return {"version": model, "input": {"prompt": "one two three", **inputs}}


def test_who_prefers_to_wait_gets_the_whole_prediction(predicting: Running) -> None:
    answer = post(predicting, PREDICTIONS, body(), prefer="respond-async, WAIT")
    told = prediction(answer, 201)
    assert answer.headers["preference-applied"] == "wait=60"
    assert (told["status"], told["output"], told["error"]) == ("succeeded", ["one", " two", " three"], None)
    assert (told["model"], told["input"]) == ("local/echo", {"prompt": "one two three"})
    assert told["metrics"]["output_token_count"] == told["metrics"]["input_token_count"] == 3
    assert 0 <= told["metrics"]["time_to_first_token"] <= told["metrics"]["predict_time"]
    assert TIME.fullmatch(told["started_at"])
    assert told["created_at"] <= told["started_at"] <= told["completed_at"]
    assert told["urls"]["cancel"] == f"{told['urls']['get']}/cancel"
    assert told["urls"]["stream"] == f"{told['urls']['get']}/stream"
    assert get(predicting, told["urls"]["get"]).json == told


def test_a_wait_that_runs_out_says_starting(predicting: Running) -> None:
    began = time.monotonic()
    answer = post(predicting, PREDICTIONS, body("org/slow"), prefer="wait=1")
    told = prediction(answer, 202)
    assert 1 <= time.monotonic() - began < 2.5
    assert answer.headers["preference-applied"] == "wait=1"
    assert (told["status"], told["output"]) == ("starting", None)
    assert len(wait_for(predicting, told["id"], "processing")["output"]) >= 10
    prediction(post(predicting, f"{PREDICTIONS}/{told['id']}/cancel"))


@pytest.mark.parametrize("prefer", ["respond-async", "wait=0", "waiting", "wait=a"])
def test_other_preferences_are_ignored(predicting: Running, prefer: str) -> None:
    answer = post(predicting, PREDICTIONS, body("org/slow"), prefer=prefer)
    told = prediction(answer, 201)
    assert (told["status"], told["output"], told["started_at"], told["metrics"]) == ("starting", None, None, {})
    assert "preference-applied" not in answer.headers
    prediction(post(predicting, f"{PREDICTIONS}/{answer.json['id']}/cancel"))


def test_the_output_grows(predicting: Running) -> None:
    id = create(predicting)["id"]
    seen = [wait_for(predicting, id, "processing")["output"] or []]
    while len(seen[-1]) < 10:
        seen.append(prediction(get(predicting, f"{PREDICTIONS}/{id}"))["output"] or [])
    assert all(later[: len(earlier)] == earlier for earlier, later in itertools.pairwise(seen))
    prediction(post(predicting, f"{PREDICTIONS}/{id}/cancel"))


@pytest.mark.parametrize("data", [None, {}, b"null"])
def test_cancel_ends_it_and_keeps_what_was_made(predicting: Running, data: Any) -> None:
    id = create(predicting)["id"]
    while not prediction(get(predicting, f"{PREDICTIONS}/{id}"))["output"]:
        time.sleep(0.01)
    began = time.monotonic()
    told = prediction(post(predicting, f"{PREDICTIONS}/{id}/cancel", data))
    assert time.monotonic() - began < 0.5
    assert (told["status"], told["error"]) == ("canceled", None)
    assert 0 < len(told["output"]) < 40
    assert prediction(post(predicting, f"{PREDICTIONS}/{id}/cancel")) == told
    assert prediction(get(predicting, f"{PREDICTIONS}/{id}")) == told


def test_one_that_waits_is_starting_and_can_be_canceled(predicting: Running) -> None:
    first, second = (create(predicting, "org/family/one:7b")["id"] for _ in range(2))
    wait_for(predicting, first, "processing")
    told = prediction(get(predicting, f"{PREDICTIONS}/{second}"))
    assert (told["status"], told["started_at"], told["output"], told["metrics"]) == ("starting", None, None, {})
    assert prediction(post(predicting, f"{PREDICTIONS}/{second}/cancel"))["status"] == "canceled"
    assert prediction(post(predicting, f"{PREDICTIONS}/{first}/cancel"))["status"] == "canceled"


def test_canceling_what_has_ended_changes_nothing(predicting: Running) -> None:
    told = run(predicting, "echo", prompt="a")
    assert prediction(post(predicting, f"{PREDICTIONS}/{told['id']}/cancel")) == told


def test_a_failure_is_no_http_error(predicting: Running) -> None:
    told = run(predicting, "broken", prompt="one two three")
    assert (told["status"], told["output"]) == ("failed", ["one", " two"])
    assert told["error"]
    assert prediction(post(predicting, PREDICTIONS, body("broken"), prefer="wait"), 201)["status"] == "failed"


def id_of(predicting: Running, prompt: str) -> str:
    """The id of the prediction with that prompt, once it is there."""
    while True:
        for each in get(predicting, PREDICTIONS).json["results"]:
            if each["input"] == {"prompt": prompt}:
                return str(each["id"])


def test_the_client_that_leaves_run_cancels_it(predicting: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", predicting.port, timeout=10)
    data = json.dumps({"model": "org/slow", "input": {"prompt": "left"}}).encode()
    connection.request("POST", RUN, data, {"content-type": "application/json"})
    id = id_of(predicting, "left")
    connection.close()
    began = time.monotonic()
    assert wait_for(predicting, id, "canceled", "succeeded")["status"] == "canceled"
    assert time.monotonic() - began < 1


def test_the_client_that_leaves_a_wait_does_not(predicting: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", predicting.port, timeout=10)
    data = json.dumps({"version": "org/slow", "input": {"prompt": "gone"}}).encode()
    connection.request("POST", PREDICTIONS, data, {"content-type": "application/json", "prefer": "wait"})
    id = id_of(predicting, "gone")
    connection.close()
    told = wait_for(predicting, id, "succeeded", "canceled")
    assert (told["status"], len(told["output"])) == ("succeeded", 40)


def test_the_same_key_makes_one_prediction(predicting: Running) -> None:
    first, again = (post(predicting, PREDICTIONS, body(), idempotency_key="k1").json["id"] for _ in range(2))
    assert first == again
    refusal(post(predicting, PREDICTIONS, body(seed=1), idempotency_key="k1"), 409)


def test_pages(predicting: Running) -> None:
    made = [create(predicting, "echo")["id"] for _ in range(103)][::-1]
    first = get(predicting, PREDICTIONS).json
    assert (first["previous"], len(first["results"])) == (None, 100)
    assert [each["id"] for each in first["results"]] == made[:100]
    create(predicting, "echo")
    second = get(predicting, first["next"]).json
    assert [each["id"] for each in second["results"]][:3] == made[100:]
    assert get(predicting, second["previous"]).json["results"][1]["id"] == made[0]
    refusal(get(predicting, f"{PREDICTIONS}?cursor=%21"), 422, "cursor")


def test_a_get_with_a_body_is_a_get(predicting: Running) -> None:
    id = run(predicting, "echo", prompt="a")["id"]
    answer = ask(predicting.port, "GET", f"{PREDICTIONS}/{id}", b"{}")
    assert prediction(answer)["status"] == "succeeded"


def test_the_account(predicting: Running) -> None:
    told = {"type": "user", "username": "anonymous", "name": "anonymous", "github_url": None}
    assert get(predicting, "/v1/account").json == told


def test_who_calls_is_not_kept(predicting: Running) -> None:
    inputs = {"prompt": "a", "user": "alice:wonder:land", "h2ogpt_key": "sk-never-to-be-kept"}
    made = run(predicting, "echo", **inputs)
    assert made["input"] == {"prompt": "a"}
    assert run(predicting, "echo", prompt="a", user="alice")["input"]["user"] == "alice"
    shown = get(predicting, f"/admin/jobs/{made['id']}")
    assert shown.status == 200
    kept = b"".join(file.read_bytes() for file in (predicting.log.parent / "jobs").glob("jobs.db*"))
    for secret in (b"wonder:land", b"never-to-be-kept"):
        assert secret not in shown.body + kept + predicting.log.read_bytes()
    assert b"prompt" in kept
