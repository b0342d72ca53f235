"""Every way to name a model, and the models and versions that clients are shown."""

from __future__ import annotations

import hashlib
import time
from typing import Any

import pytest

from tests.dialects.predictions.calls import ALIAS, BARE, PREDICTIONS, RUN, get, post, prediction, refusal, run
from tests.running import Running

OWNER_NAME, _, ALIASED = ALIAS.partition(":")
ECHO = hashlib.sha256("\0".join(["echo", "echo", "", "", "", "", "", ""]).encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "model", "version"),
    [
        ("echo", "local/echo", ECHO),
        ("local/echo", "local/echo", ECHO),
        (ECHO, "local/echo", ECHO),
        (f"local/echo:{ECHO}", "local/echo", ECHO),
        (ALIAS, OWNER_NAME, ALIASED),
        (OWNER_NAME, OWNER_NAME, ALIASED),
        (ALIASED, OWNER_NAME, ALIASED),
        (f"{OWNER_NAME}:{ECHO}", OWNER_NAME, ALIASED),
        (BARE, "local/echo", BARE),
        ("org/family/one:7b", "org/family--one", "7b"),
        ("org/family--one", "org/family--one", "7b"),
        ("org/family--one:7b", "org/family--one", "7b"),
    ],
)
def test_all_forms_mean_the_model(predicting: Running, text: str, model: str, version: str) -> None:
    for body in ({"version": text}, {"model": text}):
        told = prediction(post(predicting, RUN, {**body, "input": {"prompt": "a", "max_tokens": 1}}))
        assert (told["model"], told["version"]) == (model, version)


@pytest.mark.parametrize(
    "text", ["none", "local/none", f"local/none:{ECHO}", "local/echo:none", "", "0" * 64, ":", "a/b/c:d:e"]
)
def test_what_means_no_model(predicting: Running, text: str) -> None:
    for name in ("version", "model"):
        refusal(post(predicting, PREDICTIONS, {name: text, "input": {"prompt": "a"}}), 422, name)


def test_the_path_names_a_model_too(predicting: Running) -> None:
    body = {"input": {"prompt": "a"}}
    told = prediction(post(predicting, f"/v1/models/{OWNER_NAME}/predictions", body, prefer="wait"), 201)
    assert (told["model"], told["output"]) == (OWNER_NAME, ["a"])
    refusal(post(predicting, "/v1/models/local/none/predictions", body), 404)
    refusal(post(predicting, "/v1/models/local/echo/predictions", {}), 422, "input")


def test_both_lists_of_models_are_in_one_body(predicting: Running) -> None:
    told = get(predicting, "/v1/models").json
    assert (told["object"], told["previous"], told["next"]) == ("list", None, None)
    assert [each["id"] for each in told["data"]][:3] == ["echo", ALIAS, BARE]
    names = [f"{each['owner']}/{each['name']}" for each in told["results"]]
    assert names[:3] == ["local/echo", OWNER_NAME, "org/slow"]
    assert {"object", "created", "owned_by"} <= told["data"][0].keys()
    assert told["results"][0]["url"] == f"{predicting.url}/v1/models/local/echo"
    with predicting.client() as client:
        assert [each.id for each in client.models.list()][:2] == ["echo", ALIAS]


@pytest.mark.parametrize("name", ["local/echo", OWNER_NAME, "org/slow", "org/family--one"])
def test_one_model_is_one_object_for_both(predicting: Running, name: str) -> None:
    told = get(predicting, f"/v1/models/{name}").json
    assert f"{told['owner']}/{told['name']}" == name
    assert (told["object"], told["visibility"], told["default_example"]) == ("model", "public", None)
    with predicting.client() as client:
        assert client.models.retrieve(told["id"]).created == told["created"]
    version = told["latest_version"]
    assert get(predicting, f"/v1/models/{name}/versions").json == {"results": [version], "previous": None, "next": None}
    assert get(predicting, f"/v1/models/{name}/versions/{version['id']}").json == version
    output: dict[str, Any] = version["openapi_schema"]["components"]["schemas"]["Output"]
    assert (output["type"], output["x-cog-array-type"], version["cog_version"]) == ("array", "iterator", "0.9.0")


def test_versions_by_other_names(predicting: Running) -> None:
    assert get(predicting, f"/v1/models/{OWNER_NAME}/versions/{ECHO}").json["id"] == ECHO
    assert get(predicting, f"/v1/models/local/echo/versions/{ALIASED}").json["id"] == ALIASED
    assert get(predicting, f"/v1/models/local/echo/versions/{BARE}").json["id"] == BARE
    refusal(get(predicting, "/v1/models/local/echo/versions/none"), 404)
    refusal(get(predicting, "/v1/models/org/slow/versions/" + ECHO), 404)
    refusal(get(predicting, "/v1/models/local/none/versions"), 404)
    get(predicting, "/v1/models/local/none").refusal(404, "model_not_found", "model")


def test_a_model_tells_how_many_jobs_of_its_are_kept(predicting: Running) -> None:
    run(predicting, ALIAS, prompt="a")
    end = time.monotonic() + 20
    while get(predicting, "/v1/models/local/echo").json["run_count"] < 1:
        assert time.monotonic() < end
        time.sleep(0.1)
