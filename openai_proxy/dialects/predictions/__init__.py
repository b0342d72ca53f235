"""The predictions API of Replicate's clients.

Sources: https://replicate.com/docs/reference/http and the client `replicate` 1.0.7, with which it is tested.
"""

from __future__ import annotations

import msgspec
from starlette.routing import Route

from openai_proxy.dialects import Dialect, Edge, place_of
from openai_proxy.dialects.predictions.bodies import PredictionBody, RunBody
from openai_proxy.dialects.predictions.files import FileDeleted, FileEntry, FileForm, FileList, FileRoutes
from openai_proxy.dialects.predictions.models import Models, ModelsOfBoth, OneModel, Version, VersionList
from openai_proxy.dialects.predictions.pages import Page
from openai_proxy.dialects.predictions.prediction import Prediction
from openai_proxy.dialects.predictions.predictions import Predictions
from openai_proxy.dialects.predictions.problem import BOTH, PROBLEM, Problem
from openai_proxy.jobs.uploads import Uploads
from openai_proxy.openapi import Operation
from openai_proxy.wire import Incoming, Reply

MANY, ONE = "/v1/predictions", "/v1/predictions/{id}"
MODEL = "/v1/models/{owner}/{name}"
VERSIONS = f"{MODEL}/versions"
FILES = "/v1/files"


class Account(msgspec.Struct):
    """Who calls."""

    username: str
    name: str
    type: str = "user"
    github_url: str | None = None


def build(edge: Edge) -> Dialect:
    """The routes of the predictions API. They come before those of OpenAI's: some paths begin as its models do."""
    prefix = place_of("predictions", edge.config) or ""
    uploads = Uploads(edge.jobs.files.where, lambda: edge.config)
    predictions = Predictions(edge, uploads, prefix)
    models = Models(edge, prefix)
    files = FileRoutes(edge, uploads, prefix)
    return Dialect(
        routes=(
            Route(MANY, edge.endpoint(predictions.create, PROBLEM), methods=["POST"]),
            Route(MANY, edge.endpoint(predictions.list, PROBLEM), methods=["GET"]),
            Route(ONE, edge.endpoint(predictions.get, PROBLEM), methods=["GET"]),
            Route(f"{ONE}/cancel", edge.endpoint(predictions.cancel, PROBLEM), methods=["POST"]),
            Route(f"{ONE}/stream", edge.endpoint(predictions.stream, PROBLEM), methods=["GET"]),
            Route("/v1/run", edge.endpoint(predictions.run, PROBLEM), methods=["POST"]),
            Route("/v1/run_sse", edge.endpoint(predictions.run_sse, PROBLEM), methods=["POST"]),
            Route(f"{MODEL}/predictions", edge.endpoint(predictions.create_of, PROBLEM), methods=["POST"]),
            Route(VERSIONS, edge.endpoint(models.versions, PROBLEM), methods=["GET"]),
            Route(f"{VERSIONS}/{{version}}", edge.endpoint(models.version, PROBLEM), methods=["GET"]),
            Route("/v1/models", edge.endpoint(models.all), methods=["GET"]),
            Route("/v1/models/{id:path}", edge.endpoint(models.one), methods=["GET"]),
            Route(FILES, edge.endpoint(files.create, BOTH, form=True), methods=["POST"]),
            Route(FILES, edge.endpoint(files.list, BOTH), methods=["GET"]),
            Route(f"{FILES}/{{id}}", edge.endpoint(files.one, BOTH), methods=["GET"]),
            Route(f"{FILES}/{{id}}", edge.endpoint(files.delete, BOTH), methods=["DELETE"]),
            Route(f"{FILES}/{{id}}/content", edge.endpoint(files.content, BOTH), methods=["GET"]),
            Route("/v1/account", edge.endpoint(account, PROBLEM), methods=["GET"]),
        ),
        operations=(*_of_predictions(), *_of_models_and_files()),
    )


def _of_predictions() -> tuple[Operation, ...]:
    made = Operation(
        "POST",
        MANY,
        "Make a prediction",
        PredictionBody,
        Prediction,
        accepts=True,
        status=201,
        problem=Problem,
    )
    return (
        made,
        msgspec.structs.replace(made, path=f"{MODEL}/predictions", summary="Make a prediction by this model"),
        Operation("GET", MANY, "List predictions", reply=Page, problem=Problem),
        Operation("GET", ONE, "Show a prediction", reply=Prediction, problem=Problem),
        Operation("POST", f"{ONE}/cancel", "Cancel a prediction", reply=Prediction, problem=Problem),
        Operation("GET", f"{ONE}/stream", "Follow a prediction", media="text/event-stream", problem=Problem),
        Operation("POST", "/v1/run", "Make a prediction and wait for it", RunBody, Prediction, problem=Problem),
        Operation(
            "POST",
            "/v1/run_sse",
            "Make a prediction and follow it",
            RunBody,
            media="text/event-stream",
            problem=Problem,
        ),
        Operation("GET", "/v1/account", "Show who calls", reply=Account, problem=Problem),
    )


def _of_models_and_files() -> tuple[Operation, ...]:
    return (
        Operation("GET", VERSIONS, "List a model's versions", reply=VersionList, problem=Problem),
        Operation("GET", f"{VERSIONS}/{{version}}", "Show a version", reply=Version, problem=Problem),
        Operation("GET", "/v1/models", "List the models", reply=ModelsOfBoth),
        Operation("GET", "/v1/models/{id}", "Show one model", reply=OneModel),
        Operation("POST", FILES, "Hand in a file", FileForm, FileEntry, form=True, also=(201,)),
        Operation("GET", FILES, "List files", reply=FileList),
        Operation("GET", f"{FILES}/{{id}}", "Show a file", reply=FileEntry),
        Operation("DELETE", f"{FILES}/{{id}}", "Forget a file", reply=FileDeleted, also=(204,)),
        Operation("GET", f"{FILES}/{{id}}/content", "Fetch a file", media="application/octet-stream"),
    )


async def account(incoming: Incoming) -> Reply:
    """Who calls: the name of the key."""
    name = incoming.caller.name
    return Reply(msgspec.json.encode(Account(name, name)))
