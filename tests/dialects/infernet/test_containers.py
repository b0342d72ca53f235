"""Containers of the configuration, chains of them, who may use them, and records by hand."""

from __future__ import annotations

from typing import Any

from tests.conftest import Serve
from tests.dialects.infernet.calls import CONTAINER, call, ended, output, results, said, submit, why
from tests.dialects.infernet.conftest import ECHO, KEY
from tests.running import Running


def test_containers_are_told_as_configured(walled: Running) -> None:
    _, info = call(walled, "GET", "/info")
    chat, *others = info["containers"]
    expected = {"id": "chat", "image": "registry.example/chat:1", "description": "talks", "external": True}
    assert chat == expected
    assert [each["id"] for each in others if not each["external"]] == ["inner"]
    _, resources = call(walled, "GET", "/resources")
    assert resources["vectors"]["compute_capability"][0]["task"] == ["embedding"]
    _, supported = call(walled, "GET", "/resources?model_id=echo")
    assert supported["ears"] == {"supported": True}


def test_a_container_does_what_it_is_for(walled: Running) -> None:
    assert output(walled, "chat", **said("a b")) == "a b"
    assert "not embedding" in why(walled, "chat", params={"endpoint": "embeddings", "input": "a"})
    assert isinstance(output(walled, "vectors", params={"input": "a"})[0], float)
    assert "audio" in output(walled, "voice", params={"input": "a"})
    assert "images" in output(walled, "brush", params={"prompt": "a", "size": "64x64"})


def test_the_model_of_a_container(walled: Running) -> None:
    """The request's, else the container's, else the first that can."""
    assert output(walled, "any", **said("a b c")) == "a b c"
    assert why(walled, "any", params=said("a b c")["params"])
    assert output(walled, "chat", params=said("a b c")["params"]) == "a b c"


def test_a_chain(walled: Running) -> None:
    """Each container is given what the one before it made."""
    id = submit(walled, "chat", "inner", "voice", "ears", **said("one two three"))
    assert "intermediate_results" not in ended(walled, id)
    result = ended(walled, id, intermediate="true")
    chat, inner, voice = result["intermediate_results"]
    assert chat == {"container": "chat", "output": "one two three"}
    assert inner == {"container": "inner", "output": "one two three"}
    assert (voice["container"], voice["output"].keys()) == ("voice", {"audio"})
    assert (result["status"], result["result"]["container"]) == ("success", "ears")
    assert result["result"]["output"]["text"]
    assert isinstance(output(walled, "chat", "vectors", **said("a"))[0], float)
    assert "images" in output(walled, "ears", "brush", params={"file": voice["output"]["audio"]})
    assert '"images":["data:image/png' in output(walled, "brush", "chat", params={"prompt": "a", "size": "64x64"})


def test_a_chain_ends_where_it_fails(walled: Running) -> None:
    id = submit(walled, "chat", "any", "voice", **said("one two three"))
    result = ended(walled, id, intermediate="true")
    assert (result["status"], result["result"]["container"]) == ("failed", "any")
    assert result["result"].keys() == {"container", "error"}
    assert result["intermediate_results"] == [{"container": "chat", "output": "one two three"}]


def test_what_may_not_come_first_and_who_may_not_come_at_all(walled: Running) -> None:
    def told(*containers: str, came_from: str | None = None) -> Any:
        body = {"containers": containers, **{"data": said("a")}}
        return call(walled, "POST", "/api/jobs", body, came_from=came_from)

    expected: dict[str, Any] = {"error": "First container must be external", "params": {"first_container": "inner"}}
    assert told("inner") == (405, expected)
    expected = {
        "error": "Container not allowed for address",
        "params": {"container": "closed", "address": "10.1.3.1"},
    }
    assert told("closed", came_from="10.1.3.1") == (405, expected)
    assert told("chat", "closed", came_from="10.1.3.1") == (405, expected)
    assert told("closed", came_from="10.1.2.9")[0] == 200


def test_keys_and_addresses(walled: Running) -> None:
    """Clients have no keys: where there are some, addresses on the list may call without."""
    for path in ("/info", "/resources", "/api/jobs"):
        assert call(walled, "GET", path)[0] == 200
        assert call(walled, "GET", path, came_from="10.3.0.1")[0] == 401
        assert call(walled, "GET", path, came_from="10.3.0.1", authorization=f"Bearer {KEY}")[0] == 200
        wrong = {"error": "The API key is not valid.", "params": {}}
        assert call(walled, "GET", path, authorization="Bearer wrong") == (401, wrong)
    body = {"containers": ["chat"], "data": said("a")}
    assert call(walled, "POST", "/api/jobs", body, came_from="10.3.0.1")[0] == 401
    assert call(walled, "GET", "/health", came_from="10.3.0.1")[0] == 200
    assert call(walled, "GET", "/v1/models")[0] == 401


def test_what_an_unknown_proxy_passes_on_needs_a_key(serve: Serve) -> None:
    server = serve(ECHO, path="/health", OPENAI_PROXY_KEYS=KEY)
    assert call(server, "GET", "/info")[0] == 200
    for header in ("x-forwarded-for", "forwarded", "x-real-ip", "via"):
        assert call(server, "GET", "/info", **{header: "1.1 somewhere"})[0] == 401
        assert call(server, "GET", "/info", authorization=f"Bearer {KEY}", **{header: "1.1 somewhere"})[0] == 200


def test_jobs_belong_to_the_address_that_asked(walled: Running) -> None:
    mine, theirs = (submit(walled, "chat", came_from=each, **said("a")) for each in ("10.1.0.7", "10.1.0.8"))
    ended(walled, mine, "10.1.0.7")
    assert call(walled, "GET", "/api/jobs", came_from="10.1.0.7")[1] == [mine]
    assert results(walled, mine, theirs, came_from="10.1.0.7") == [ended(walled, mine, "10.1.0.7")]
    assert call(walled, "GET", "/api/jobs", came_from="10.1.0.9")[1] == []
    assert call(walled, "GET", "/api/jobs", came_from="::ffff:10.1.0.7", authorization=f"Bearer {KEY}")[1] == []


def test_a_status_recorded_by_hand(node: Running) -> None:
    """As the node's documentation has it, with a comma that JSON does not have."""
    path = "/api/status"
    body = f'{{"id": "by-hand", "status": "running", "containers": ["{CONTAINER}"],}}'.encode()
    assert call(node, "PUT", path, body) == (200, {})
    assert results(node, "by-hand") == [{"id": "by-hand", "status": "running", "result": None}]
    assert "by-hand" in call(node, "GET", "/api/jobs?pending=true")[1]
    for status in ("success", "failed"):
        record = {"id": "by-hand", "status": status, "containers": [CONTAINER], "data": {"a": 1}}
        assert call(node, "PUT", path, record) == (200, {})
        assert results(node, "by-hand") == [{"id": "by-hand", "status": status, "result": None}]
        assert "by-hand" in call(node, "GET", "/api/jobs?pending=false")[1]
        assert "by-hand" not in call(node, "GET", "/api/jobs?pending=true")[1]
    done = submit(node, prompt="a")
    ended(node, done)
    assert call(node, "PUT", path, {"id": done, "status": "running", "containers": []}) == (200, {})
    assert results(node, done, intermediate="true") == [
        {"id": done, "status": "running", "result": None, "intermediate_results": []}
    ]


def test_a_record_of_a_job_that_runs_stays(node: Running) -> None:
    id = submit(node, model="slow", prompt="a " * 40)
    assert call(node, "PUT", "/api/status", {"id": id, "status": "failed", "containers": []}) == (200, {})
    assert results(node, id) == [{"id": id, "status": "failed", "result": None}]


def test_records_that_are_refused(node: Running, walled: Running) -> None:
    path, good = "/api/status", {"id": "a", "status": "success", "containers": []}
    assert call(node, "PUT", path, {**good, "status": "done"}) == (400, {"error": "Status is invalid"})
    bad: tuple[object, ...] = (
        b"{",
        b"",
        b"[]",
        {"id": "a"},
        {**good, "id": 5},
        {**good, "id": ""},
        {**good, "id": "a" * 129},
        {**good, "id": "0x1234/7"},  # as a subscription is kept
    )
    for body in bad:
        status, answer = call(node, "PUT", path, body)
        assert (status, answer["error"][:27]) == (500, "Could not store job status:"[:27])
    assert call(walled, "PUT", path, good, came_from="10.1.0.1") == (403, {"error": "Unauthorized"})
    assert call(walled, "PUT", path, good, came_from="10.2.0.1") == (200, {})
    assert call(walled, "PUT", path, good)[0] == 500  # another caller's
