"""Jobs of one container: what they are given and what they make, and the lists of them."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest

from tests.dialects.infernet.calls import (
    CHAT,
    CONTAINER,
    STREAMING,
    VECTORS,
    call,
    ended,
    output,
    results,
    said,
    submit,
    why,
)
from tests.running import Running


def test_the_node_tells_what_it_is(node: Running) -> None:
    assert call(node, "GET", "/health") == (200, {"status": "healthy"})
    status, info = call(node, "GET", "/info")
    assert status == 200
    assert info.keys() == {"version", "containers", "pending", "chain"}
    [container] = info["containers"]
    assert container.keys() == {"id", "image", "description", "external"}
    assert (container["id"], container["external"]) == (CONTAINER, True)
    assert info["chain"] == {"enabled": False, "address": ""}
    assert info["pending"].keys() == {"offchain", "onchain"}


def test_it_tells_what_it_can(node: Running) -> None:
    status, answer = call(node, "GET", "/resources")
    assert status == 200
    assert answer[CONTAINER].keys() == {"service_id", "compute_capability", "hardware_capabilities"}
    assert CHAT in answer[CONTAINER]["compute_capability"][0]["cached_models"]
    assert call(node, "GET", "/resources?model_id=echo") == (200, {CONTAINER: {"supported": True}})
    status, answer = call(node, "GET", "/resources?model_id=none")
    assert answer[CONTAINER]["supported"] is False
    assert "none" in answer[CONTAINER]["error"]


@pytest.mark.parametrize("name", [CONTAINER, "openai-inference", STREAMING])
def test_a_chat(node: Running, name: str) -> None:
    """As Ritual's example has it."""
    id = submit(node, name, **said("how do I make pizza?"))
    assert ended(node, id) == {
        "id": id,
        "status": "success",
        "result": {"container": name, "output": "how do I make pizza?"},
    }


def test_options_reach_the_model(node: Running) -> None:
    assert output(node, **said("one two three four", max_tokens=2)) == "one two"
    assert "temperature" in why(node, **said("one", temperature=9))


def test_embeddings(node: Running) -> None:
    """One text is one list of numbers, several are several; a list of numbers is one text, in tokens."""
    one: dict[str, Any] = {
        "model": VECTORS,
        "params": {"endpoint": "embeddings", "input": "Machine learning (ML) is a subset"},
    }
    vector = output(node, **one)
    assert all(isinstance(number, float) for number in vector)
    both: dict[str, Any] = {
        "model": VECTORS,
        "params": {"endpoint": "embedding", "input": ["Machine learning (ML) is a subset", "b"]},
    }
    vectors = output(node, **both)
    assert [len(each) for each in vectors] == [len(vector)] * 2
    assert vectors[0] == vector
    assert len(output(node, model=VECTORS, params={"endpoint": "embeddings", "input": ["a"]})) == 1


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"params": {"endpoint": "completions", "prompt": "a b"}}, "a b"),
        ({"endpoint": "completions", "provider": "OPENAI", "params": said("c d")["params"]}, "c d"),
        ({"messages": [{"role": "user", "content": "e f"}], "stream": True}, "e f"),
        ({"model": CHAT, "prompt": "g h"}, "g h"),
    ],
)
def test_texts_by_other_names(node: Running, data: dict[str, Any], expected: str) -> None:
    assert output(node, **data) == expected


def test_vectors_without_params(node: Running) -> None:
    assert isinstance(output(node, model=VECTORS, input="a")[0], float)


def test_pictures_and_sounds_are_data_urls(node: Running) -> None:
    made = output(node, model="echo", params={"endpoint": "images", "prompt": "a cat", "size": "64x64", "n": 2})
    assert [each.partition(",")[0] for each in made["images"]] == ["data:image/png;base64"] * 2
    edited = output(node, model="echo", params={"endpoint": "images", "prompt": "a dog", "image": made["images"][0]})
    assert len(edited["images"]) == 1
    spoken = output(node, model="echo", params={"endpoint": "speech", "input": "hello", "voice": "alloy"})
    head, _, data = spoken["audio"].partition(",")
    assert head == "data:audio/wav;base64"
    assert base64.b64decode(data)[:4] == b"RIFF"
    for file in (spoken["audio"], data):
        heard = output(node, model="echo", params={"endpoint": "transcription", "file": file})
        assert heard.keys() == {"text"}
        assert heard["text"]


@pytest.mark.parametrize(
    ("data", "word"),
    [
        ({"model": "none", "params": {"endpoint": "completion", "messages": []}}, "none"),
        ({"params": {"endpoint": "paint"}}, "paint"),
        ({"params": {"endpoint": 5}}, "5"),
        ({"params": []}, "params"),
        ({"model": 5, "prompt": "a"}, "model"),
        ({}, "messages"),
        ({"params": {"endpoint": "transcription", "file": 5}}, "file"),
        ({"params": {"endpoint": "transcription", "file": "http://127.0.0.1/a.wav"}}, "file"),
        ({"params": {"endpoint": "transcription", "file": "!"}}, "file"),
        ({"params": {"endpoint": "images", "prompt": "a", "image": "data:image/png;base64,aaaa"}}, "image"),
        (said("a", colour="red"), "colour"),
    ],
)
def test_what_a_model_cannot_do_is_a_job_that_failed(node: Running, data: dict[str, Any], word: str) -> None:
    """As a container would have it: the request for the job itself was right."""
    assert word in why(node, **data)


def test_a_failure_of_the_engine_is_told(node: Running) -> None:
    id = submit(node, model="broken", prompt="a b c d")
    result = ended(node, id)
    assert result["status"] == "failed"
    assert result["result"].keys() == {"container", "error"}


def test_results_come_once_in_the_order_asked_and_without_what_is_unknown(node: Running) -> None:
    first, second = submit(node, prompt="one"), submit(node, prompt="two")
    for id in (first, second):
        ended(node, id)
    found = results(node, second, "unknown", first, second)
    assert [each["id"] for each in found] == [second, first]
    assert results(node, "unknown") == []


def test_a_batch_is_answered_item_by_item(node: Running) -> None:
    good = {"containers": [CONTAINER], "data": {"prompt": "a"}}
    bad = [{"containers": ["none"], "data": {}}, {"containers": "x", "data": {}}, 5, {"subscription": {}}]
    status, answers = call(node, "POST", "/api/jobs/batch", [good, *bad, {**good, "requires_proof": None, "more": 1}])
    assert status == 200
    assert answers[0].keys() == answers[5].keys() == {"id"}
    assert answers[1] == {"error": "Container not supported", "params": {"container": "none"}}
    assert all(each["error"].startswith("Could not enqueue job: ") for each in answers[2:5])
    assert all(each["params"] == {} for each in answers[2:5])
    assert call(node, "POST", "/api/jobs/batch", []) == (200, [])
    assert call(node, "POST", "/api/jobs/batch", {"a": 1}) == (400, {"error": "Expected a list"})
    many = [good] * 101
    assert call(node, "POST", "/api/jobs/batch", many)[0] == 400
    status, answers = call(node, "POST", "/api/jobs/batch", many[:100])
    assert status == 200
    assert call(node, "GET", "/api/jobs")[1][-100:] == [each["id"] for each in answers]


def test_lists_of_ids(node: Running) -> None:
    done = submit(node, prompt="a")
    ended(node, done)
    running = submit(node, model="slow", prompt="a " * 300)
    listed = {query: call(node, "GET", f"/api/jobs{query}")[1] for query in ("", "?pending=true", "?pending=false")}
    assert listed[""][-2:] == [done, running]
    assert listed["?pending=true"][-1] == running
    assert listed["?pending=false"][-1] == done
    assert running not in listed["?pending=false"]
    assert done not in listed["?pending=true"]
    assert call(node, "GET", "/api/jobs?status=pending")[1] == listed["?pending=true"]
    assert call(node, "GET", "/api/jobs?status=completed")[1][-1] == done
    assert call(node, "GET", "/api/jobs?status=other")[1][-2:] == [done, running]
    [result] = results(node, running, intermediate="true")
    assert (result["status"], result["result"], result["intermediate_results"]) == ("running", None, [])
    assert call(node, "GET", "/info")[1]["pending"]["offchain"] >= 1


def test_a_job_is_answered_at_once(node: Running) -> None:
    began = time.monotonic()
    submit(node, model="slow", prompt="a " * 300)
    assert time.monotonic() - began < 2


def test_what_is_no_request(node: Running) -> None:
    error = "Internal server error: "
    bodies: tuple[object, ...] = (
        b"",
        b"{",
        b"[]",
        b"5",
        {"containers": ["a"]},
        {"containers": "a", "data": {}},
        {"data": {}},
    )
    for body in bodies:
        for path in ("/api/jobs", "/api/jobs/stream"):
            status, answer = call(node, "POST", path, body)
            assert (status, list(answer), answer["error"][: len(error)]) == (500, ["error"], error)
    assert call(node, "POST", "/api/jobs/batch", b"{")[0] == 500
    deep = b'{"containers": ["a"], "data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert call(node, "POST", "/api/jobs", deep)[0] == 500
    assert call(node, "GET", "/api/jobs?" + "&" * 2100)[0] == 400


@pytest.mark.parametrize("path", ["/api/jobs", "/api/jobs/stream"])
def test_what_is_not_served(node: Running, path: str) -> None:
    def told(**body: object) -> object:
        return call(node, "POST", path, {"data": {}, **body})

    assert told(containers=[]) == (405, {"error": "No containers specified", "params": {}})
    expected: dict[str, Any] = {"error": "Container not supported", "params": {"container": "classify-it-0.0.1"}}
    assert told(containers=[CONTAINER, "classify-it-0.0.1"]) == (405, expected)
    expected["params"]["container"] = "n" * 100
    assert told(containers=["n" * 100_000]) == (405, expected)
    expected = {"error": "Container does not generate proof", "params": {"container": CONTAINER}}
    assert told(containers=[CONTAINER], requires_proof=True) == (405, expected)
    assert told(containers=[CONTAINER] * 16, requires_proof=True) == (405, expected)
    expected = {"error": "At most 16 containers are taken at once", "params": {}}
    assert told(containers=[CONTAINER] * 17) == (400, expected)


def test_the_type_of_a_body_does_not_matter(node: Running) -> None:
    """curl sends another one with -d."""
    body = json.dumps({"containers": [CONTAINER], "data": {"prompt": "a"}}).encode()
    status, answer = call(node, "POST", "/api/jobs", body, **{"content-type": "application/x-www-form-urlencoded"})
    assert (status, list(answer)) == (200, ["id"])


def test_who_calls_is_not_kept(node: Running) -> None:
    secrets = {"user": "alice:wonder:land", "h2ogpt_key": "sk-never-to-be-kept"}
    assert output(node, model="echo", params={"endpoint": "completion", "prompt": "a", **secrets}, **secrets)
    kept = b"".join(file.read_bytes() for file in (node.log.parent / "jobs").glob("jobs.db*"))
    assert not [secret for secret in (b"wonder:land", b"never-to-be-kept") if secret in kept + node.log.read_bytes()]
    assert b"prompt" in kept
