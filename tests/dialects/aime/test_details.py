"""What a client can learn of endpoints, where they lie, and which of them a server refuses to have."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import requests

from openai_proxy.__main__ import main
from openai_proxy.configure import ConfigError, read
from tests.conftest import ECHO, Serve
from tests.dialects.aime.calling import Aime, refusal
from tests.running import Running

NAMES = ["llama2_chat", "writer", "painter", "speaker", "listener", "vectors", "slow", "stalled", "held", "broken"]


def test_endpoints_are_listed(server: Running) -> None:
    client = Aime(server, "")
    for answer in (client.get("/api/endpoints"), client.post("/api/endpoints", {"key": "x"})):
        assert answer.json() == {"endpoints": NAMES}


def test_an_endpoint_is_described(server: Running) -> None:
    client = Aime(server, "")
    found = client.get("/api/endpoints/llama2_chat").json()
    assert (found["name"], found["title"], found["description"]) == ("llama2_chat", "A chat", "Says it again")
    assert (found["version"], found["category"], found["http_methods"]) == (3, "talk", ["GET", "POST"])
    assert (found["max_queue_length"], found["max_time_in_queue"]) == (1000, None)
    assert 0 <= found["free_queue_slots"] <= 1000
    assert (found["num_workers"], found["num_active_workers"]) == (1, 1)
    [worker] = found["workers"]
    assert worker.keys() == {"name", "state", "max_batch_size", "free_slots", "model"}
    assert (worker["name"], worker["model"]["label"]) == ("echo_cpu_0", "Org/Echo-1.5")
    inputs = found["parameter_description"]["input"]
    assert inputs["top_k"] == {"type": "integer", "default": 40, "minimum": 1, "maximum": 1000}
    assert inputs.keys() >= {"prompt", "chat_context", "seed", "key", "client_session_auth_key", "wait_for_result"}
    assert found["parameter_description"]["output"]["text"] == {"type": "string"}
    assert "text" in found["parameter_description"]["progress"]["OUTPUTS"]
    # Where the real server answers 404 its client asks for the details.
    assert client.get("/api/llama2_chat").json()["parameter_description"] == found["parameter_description"]
    assert client.post("/api/endpoints/llama2_chat", {}).json()["name"] == "llama2_chat"


@pytest.mark.parametrize("name", NAMES)
def test_all_that_is_told_was_described(server: Running, name: str) -> None:
    found = Aime(server, "").get(f"/api/endpoints/{name}").json()["parameter_description"]
    assert found["output"].keys() >= {"error", "seed", "prompt"}


def test_all_lies_below_a_path_where_that_is_wanted(serve: Serve) -> None:
    server = serve(
        ECHO + '[jobs]\ndatabase = "memory"\n[protocols]\naime = "/aime"\n[aime.endpoints.v1]\nmodel = "echo"\n'
    )
    client = Aime(server, "v1")
    client.url = f"{server.url}/aime"
    client.login()
    assert client.ask(prompt="hello")["text"] == "hello"
    assert client.poll(client.begin(prompt="hello"))[-1]["job_result"]["text"] == "hello"
    for path in ("/get_client_session_auth_key", "/v1", "/v1/login", "/api/endpoints"):
        assert requests.get(server.url + path, timeout=30).status_code == 404
    assert server.status("/v1/models") == 200


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "config.toml"
    file.write_text(text)
    try:
        read(file, {}, {})
    except ConfigError as error:
        return [f"{problem.line}: {problem.message}" for problem in error.problems]
    return []


MODEL = '[models.{}]\nbackend = "echo"\n'
POINT = '[aime.endpoints.{}]\nmodel = "{}"\n'
REFUSED = [
    (MODEL.format("a") + POINT.format("v1", "a"), '3: "v1" cannot name an endpoint: other paths begin with it'),
    (MODEL.format("a") + POINT.format("login", "a"), '3: "login" cannot name an endpoint: other paths begin with it'),
    (MODEL.format("a") + POINT.format("health", "a"), '3: "health" cannot name an endpoint: other paths begin with it'),
    (MODEL.format("a") + POINT.format('"a/b"', "a"), '3: "a/b" cannot name an endpoint: it has to be a part of a path'),
    (MODEL.format("alpha") + POINT.format("b", "alpa"), '4: "alpa" is no model; did you mean "alpha"?'),
    (
        '[models.a]\nbackend = "llama_cpp"\noptions = { weights = "all-minilm-l6-v2", embedding = true }\n'
        + POINT.format("b", "a")
        + 'kind = "image"\n',
        '6: the model "a" does not take image requests',
    ),
]


@pytest.mark.parametrize(("text", "problem"), REFUSED)
def test_endpoints_that_cannot_be(tmp_path: Path, text: str, problem: str) -> None:
    assert problems(tmp_path, text) == [problem]
    assert problems(tmp_path, text + "[protocols]\naime = false\n") == []


@pytest.mark.parametrize(
    "text",
    [
        MODEL.format("docs") + '[protocols]\naime = "/aime"\n',
        MODEL.format("docs") + POINT.format("papers", "docs"),
        MODEL.format("a") + 'aliases = ["b"]\n' + POINT.format("c", "b"),
    ],
)
def test_endpoints_that_can_be(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text) == []


LEFT_OUT = [
    'the model "docs" has no endpoint for AIME\'s clients: other paths begin with "docs"; '
    'give it one of another name in aime.endpoints, or set protocols.aime to "/aime"',
    'the model "A/B" has no endpoint for AIME\'s clients: "a.b" has "a_b"; '
    "give it one of another name in aime.endpoints",
]
CLASHING = "".join(MODEL.format(name) for name in ("docs", '"a.b"', '"A/B"', "c"))


def test_models_whose_endpoints_cannot_be_have_none(serve: Serve) -> None:
    server = serve(CLASHING)
    assert requests.get(f"{server.url}/api/endpoints", timeout=30).json() == {"endpoints": ["a_b", "c"]}
    assert "text/html" in requests.get(f"{server.url}/docs", timeout=30).headers["content-type"]
    assert Aime(server, "").get("/api/endpoints/a_b").json()["workers"][0]["model"]["label"] == "a.b"
    assert refusal(Aime(server, "").post("/login", {"endpoint_name": "docs"}))[0] == 404
    told = [json.loads(line) for line in server.log.read_text().splitlines() if "has no endpoint" in line]
    assert [(line["level"], line["message"]) for line in told] == [("warning", remark) for remark in LEFT_OUT]


@pytest.mark.parametrize(
    ("more", "remarks"),
    [
        ("", LEFT_OUT),
        ('[protocols]\naime = "/aime"\n', LEFT_OUT[1:]),
        ("[protocols]\naime = false\n", []),
        (POINT.format("papers", "docs") + POINT.format("b", "A/B"), []),
    ],
)
def test_a_check_tells_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: str, remarks: list[str]
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(CLASHING + more)
    assert main(["check", "--config", str(file)]) == 0
    told = capsys.readouterr().out.splitlines()
    assert [line for line in told if line.startswith("note: ")] == [f"note: {remark}" for remark in remarks]
