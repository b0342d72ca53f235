"""Scoring and reranking, by a model whose score is the share of the query's words that a document has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from openai_proxy.config import Limits
from openai_proxy.dialects.openai.scores import RERANK_PATHS, SCORE_PATHS, SIDES
from openai_proxy.dialects.openai.tokens import DETOKENIZE_PATHS, TOKENIZE_PATHS
from tests.conftest import ECHO, servers
from tests.dialects.openai.local import Local, ask
from tests.running import Running

KEY = "sk-of-alice-and-nobody-else"
QUERY = "red green blue white"
DOCUMENTS = ["nothing of it", "red and green", "red green blue white", "red"]
SCORES = [0.0, 0.5, 1.0, 0.25]
READ = {"prompt_tokens": 4 * 4 + 3 + 3 + 4 + 1, "total_tokens": 4 * 4 + 3 + 3 + 4 + 1}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server that wants a key."""
    with servers(tmp_path_factory.mktemp("locked")) as start:
        yield start(ECHO, path="/health", OPENAI_PROXY_KEYS=f"alice={KEY}")


def rerank(**fields: Any) -> dict[str, Any]:
    return {"model": "echo", "query": QUERY, "documents": DOCUMENTS, **fields}


def score(**fields: Any) -> dict[str, Any]:
    return {"model": "echo", "queries": QUERY, "documents": DOCUMENTS, **fields}


@pytest.mark.parametrize("path", RERANK_PATHS)
def test_documents_come_back_in_order(echo_server: Running, path: str) -> None:
    with echo_server.client() as client:
        answer: Any = client.post(f"/..{path}", body=rerank(), cast_to=object)
    assert answer["id"].startswith("rerank-")
    assert (answer["model"], answer["usage"]) == ("echo", READ)
    assert answer["results"] == [
        {"index": index, "relevance_score": SCORES[index], "document": {"text": DOCUMENTS[index]}}
        for index in (2, 1, 3, 0)
    ]


@pytest.mark.parametrize("path", SCORE_PATHS)
def test_scores_keep_the_order_of_the_documents(echo_server: Running, path: str) -> None:
    with echo_server.client() as client:
        answer: Any = client.post(f"/..{path}", body=score(), cast_to=object)
    assert answer["id"].startswith("score-")
    assert answer["created"] > 1_700_000_000
    assert (answer["object"], answer["model"], answer["usage"]) == ("list", "echo", READ)
    assert answer["data"] == [
        {"index": index, "object": "score", "score": SCORES[index]} for index in range(len(DOCUMENTS))
    ]


@pytest.mark.parametrize("path", RERANK_PATHS + SCORE_PATHS + TOKENIZE_PATHS + DETOKENIZE_PATHS)
def test_without_a_key_nothing_is_answered(locked: Running, path: str) -> None:
    ask(locked.port, "POST", path, b"{}").refusal(401, "missing_api_key", None)
    assert ask(locked.port, "POST", path, b"{}", authorization=f"Bearer {KEY}").status == 400


@pytest.mark.parametrize("names", SIDES, ids=str)
def test_every_pair_of_names(local: Local, names: tuple[str, str]) -> None:
    body = {"model": "echo", names[0]: QUERY, names[1]: DOCUMENTS}
    assert [item["score"] for item in local.post("/score", body).json["data"]] == SCORES
    local.post("/score", body | {names[0]: ["a", "b"]}).refusal(400, "invalid_value", names[0])
    local.post("/score", body | {names[1]: ["a", ""]}).refusal(400, "invalid_value", f"{names[1]}.1")


@pytest.mark.parametrize(
    ("queries", "documents", "scores"),
    [("a b", "b c", [0.5]), (["a b"], ["a", "c"], [0.5, 0.0]), (["a", "b"], ["a", "a"], [1.0, 0.0])],
)
def test_one_to_one_one_to_many_and_many_to_many(local: Local, queries: Any, documents: Any, scores: Any) -> None:
    answer = local.post("/score", score(queries=queries, documents=documents))
    assert [item["score"] for item in answer.json["data"]] == scores


def test_the_best_alone_and_without_text(local: Local) -> None:
    def indices(**fields: Any) -> list[int]:
        return [result["index"] for result in local.post("/rerank", rerank(**fields)).json["results"]]

    assert indices(top_n=2) == [2, 1]
    assert indices(top_n=0) == indices(top_n=9) == [2, 1, 3, 0]
    assert indices(documents="red") == [0]
    bare = local.post("/rerank", rerank(return_documents=False, top_n=1)).json["results"]
    assert bare == [{"index": 2, "relevance_score": 1.0}]


def test_documents_may_be_objects_and_ties_keep_their_order(local: Local) -> None:
    answer = local.post("/rerank", rerank(query="a", documents=[{"text": "b"}, "a", {"text": "a"}])).json["results"]
    assert [(result["index"], result["document"]["text"]) for result in answer] == [(1, "a"), (2, "a"), (0, "b")]


def test_what_is_cut_is_not_read(local: Local) -> None:
    cut = local.post("/score", score(truncate_prompt_tokens=5)).json
    assert [item["score"] for item in cut["data"]] == [0.0, 0.25, 0.25, 0.25]
    assert cut["usage"]["prompt_tokens"] == 20
    assert local.post("/score", score(truncate_prompt_tokens=-1)).json["usage"] == READ
    whole = local.post("/v1/embeddings", {"model": "echo", "input": "one two"}).json["data"]
    short = {"model": "echo", "input": "one two three", "truncate_prompt_tokens": 2}
    assert local.post("/v1/embeddings", short).json["data"] == whole


REFUSALS = [
    ({"query": ""}, "query", "invalid_value"),
    ({"query": None}, "query", "invalid_value"),
    ({"query": ["a"]}, "query", "invalid_value"),
    ({"query": 5}, "query", "invalid_value"),
    ({"documents": []}, "documents", "invalid_value"),
    ({"documents": ""}, "documents", "invalid_value"),
    ({"documents": ["a", ""]}, "documents.1", "invalid_value"),
    ({"documents": ["a", {"text": ""}]}, "documents.1", "invalid_value"),
    ({"documents": ["a", 5]}, "documents.1", "invalid_value"),
    ({"documents": [{"txt": "a"}]}, "documents.0.txt", "unknown_parameter"),
    ({"documents": [{"text": "a", "title": "b"}]}, "documents.0.title", "unknown_parameter"),
    ({"top_n": -1}, "top_n", "invalid_value"),
    ({"return_documents": "yes"}, "return_documents", "invalid_value"),
    ({"truncate_prompt_tokens": -2}, "truncate_prompt_tokens", "invalid_value"),
    ({"use_activation": False}, "use_activation", "unsupported_parameter"),
    ({"max_chunks_per_doc": 1}, "max_chunks_per_doc", "unknown_parameter"),
    ({"user": "u" * 513}, "user", "invalid_value"),
]


@pytest.mark.parametrize(("fields", "param", "code"), REFUSALS, ids=str)
def test_reranking_is_refused_with_the_field_named(local: Local, fields: Any, param: str, code: str) -> None:
    local.post("/rerank", rerank(**fields)).refusal(400, code, param)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "queries"),
        ({"queries": "a"}, "documents"),
        ({"text_2": "a"}, "text_1"),
        ({"items": ["a"]}, "queries"),
        ({"queries": "a", "text_2": "b"}, "text_2"),
        ({"queries": "a", "documents": "b", "items": "c"}, "queries"),
        ({"queries": [], "documents": "b"}, "queries"),
        ({"queries": "a", "documents": []}, "documents"),
        ({"queries": ["a", "b"], "documents": ["a", "b", "c"]}, "queries"),
        ({"queries": ["a", "b"], "documents": "a"}, "queries"),
        ({"queries": "a", "documents": [{"text": "a"}]}, "documents.0"),
    ],
    ids=str,
)
def test_scoring_is_refused_with_the_field_named(local: Local, body: dict[str, Any], param: str) -> None:
    local.post("/score", {"model": "echo", **body}).refusal(400, "invalid_value", param)


def test_a_lone_surrogate_is_not_json(local: Local) -> None:
    for path, field in (("/rerank", b"documents"), ("/score", b"documents"), ("/tokenize", b"prompt")):
        local.post(path, b'{"model": "echo", "query": "a", "%b": "\\ud800"}' % field).refusal(400, "invalid_json", None)


def test_a_model_that_does_not_score_is_refused(local: Local) -> None:
    served = local.app.edge.router.models["echo"]
    model = served.backend.model
    try:
        served.backend.model = type(model)(kinds=frozenset({"chat"}))
        for path, body in (("/rerank", rerank()), ("/score", score()), ("/tokenize", {"model": "echo", "prompt": "a"})):
            local.post(path, body).refusal(400, "unsupported_parameter", "model")
    finally:
        served.backend.model = model


def test_as_many_documents_as_inputs() -> None:
    with Local(Limits(inputs=3)) as small:
        assert small.post("/rerank", rerank(documents=["a"] * 3)).status == 200
        small.post("/rerank", rerank(documents=["a"] * 4)).refusal(400, "too_many_items", "documents")
        assert small.post("/score", score(queries=["a"] * 3, documents=["a"] * 3)).status == 200
        small.post("/score", score(queries=["a"] * 4, documents=["a"] * 3)).refusal(400, "too_many_items", "queries")
        small.post("/score", score(documents=["a"] * 4)).refusal(400, "too_many_items", "documents")
