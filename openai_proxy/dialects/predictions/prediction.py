"""A job as a prediction. Source: https://replicate.com/docs/reference/http#predictions.get"""

from __future__ import annotations

import array
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
import pybase64
from msgspec import Raw, Struct

from backends import Kind
from openai_proxy.auth import JOB_FILES
from openai_proxy.dialects.predictions.references import full_name
from openai_proxy.jobs.job import DRAWN, File, Job, JobEvent, State
from openai_proxy.jobs.jobs import Jobs
from openai_proxy.jobs.result import Result

ORIGIN = "predictions"
STATUSES: dict[State, str] = {"queued": "starting", "running": "processing"}
TEXT: frozenset[Kind] = frozenset({"chat", "completion"})
BAR = 20


class Sent(Struct, frozen=True):
    """What is kept of a client's request: the model and version as it knows them, its input, what had no effect
    and whether there are `several` texts to embed.
    """

    model: str = ""
    version: str = ""
    input: Raw = Raw(b"{}")
    notes: tuple[str, ...] = ()
    several: bool = False


class Urls(Struct):
    """Where more is to be had."""

    get: str
    cancel: str
    stream: str


class Prediction(Struct, kw_only=True):
    """A prediction. Every key is always there."""

    id: str
    model: str
    version: str
    status: str
    input: Raw
    output: Any
    error: str | None
    logs: str
    metrics: dict[str, float]
    created_at: str
    started_at: str | None
    completed_at: str | None
    urls: Urls
    source: str = "api"
    data_removed: bool = False


Output: TypeAlias = list[str] | list[float] | list[list[float]] | str | dict[str, Any] | None


def moment(seconds: float) -> str:
    """Unix seconds as ISO 8601."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def sent_of(job: Job) -> Sent:
    """What its client wrote; of a job that came by another protocol, what is known of it."""
    if job.origin == ORIGIN:
        return msgspec.json.decode(job.sent, type=Sent)
    return Sent(model=full_name(job.model))


def shown(job: Job, events: Sequence[JobEvent], output: Output, place: str) -> Prediction:
    """The prediction, with that output; `place` is where predictions lie, as this client knows it."""
    sent = sent_of(job)
    url = f"{place}/{job.id}"
    return Prediction(
        id=job.id,
        model=sent.model,
        version=sent.version,
        status=STATUSES.get(job.state, job.state),
        input=sent.input,
        output=output,
        error=None if job.failure is None else job.failure.message,
        logs=logs_of(job),
        metrics=_metrics(job, events),
        created_at=moment(job.created),
        started_at=None if job.started is None else moment(job.started),
        completed_at=None if job.finished is None else moment(job.finished),
        urls=Urls(get=url, cancel=f"{url}/cancel", stream=f"{url}/stream"),
    )


async def whole(job: Job, jobs: Jobs, place: str) -> Prediction:
    """The prediction with all that its job made so far. Raises JobNotFound or StoreFailed.

    Of one that waits nothing need be read, however often it is asked for.
    """
    events = await jobs.events(job.id, job.owner) if job.events else ()
    output = await output_of(job, events, jobs, files_at(place, jobs))
    prediction = shown(job, events, output, place)
    prediction.data_removed = job.kind in DRAWN and job.state == "succeeded" and output is None
    return prediction


def starting(prediction: Prediction) -> Prediction:
    """The same as if nothing were there yet.

    Clients take any other status for the end of a wait, and leave out what is there already when they read on.
    """
    times: dict[str, Any] = {"started_at": None, "completed_at": None, "metrics": {}}
    return msgspec.structs.replace(prediction, status="starting", output=None, error=None, **times)


def logs_of(job: Job) -> str:
    """What had no effect, and for what takes its time the line that clients read their progress from."""
    lines = list(sent_of(job).notes)
    if job.note and not job.ended:
        lines.append(job.note)
    if job.kind in DRAWN and job.progress:
        percent = round(100 * job.progress)
        done = BAR * percent // 100
        lines.append(f"{percent}%|{'█' * done}{' ' * (BAR - done)}| {percent}/100")
    return "\n".join(lines)


def _metrics(job: Job, events: Sequence[JobEvent]) -> dict[str, float]:
    """Seconds and tokens, as far as they are known."""
    told: dict[str, float] = {}
    if job.started is not None:
        if job.finished is not None:
            told["predict_time"] = round(job.finished - job.started, 6)
            told["total_time"] = round(job.finished - job.created, 6)
        if job.first is not None:
            told["time_to_first_token"] = round(job.first - job.started, 6)
    usage = Result.of(events[-1:]).usage
    if usage is not None:
        told["input_token_count"] = usage.prompt
        told["output_token_count"] = usage.completion
    return told


def files_at(place: str, jobs: Jobs) -> str | None:
    """Where sounds and pictures lie for who knows predictions at `place`; None: they are told as data URIs."""
    if jobs.config().predictions.files == "data":
        return None
    scheme, _, rest = place.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}{JOB_FILES}"


async def output_of(job: Job, events: Sequence[JobEvent], jobs: Jobs, place: str | None = None) -> Output:
    """What a job made so far; None before there is anything, or where it is not kept any more. Files lie at `place`, or
    are told as data URIs. Raises StoreFailed.
    """
    result = Result.of(events)
    match job.kind:
        case "chat" | "completion":
            return result.pieces or ([] if result.answers else None)
        case "image":
            links = [await link(file, jobs, place) for file in result.files]
            return [each for each in links if each is not None] or None
        case "speech":
            return await link(result.files[0], jobs, place) if result.files else None
        case "transcription":
            return _transcript(result) if events else None
        case _:
            vectors = [array.array("f", each).tolist() for each in result.vectors]
            return vectors[0] if len(vectors) == 1 and not sent_of(job).several else vectors or None


def _transcript(result: Result) -> dict[str, Any]:
    told: dict[str, Any] = {"text": result.text}
    if result.segments:
        told["segments"] = [{"start": each.start, "end": each.end, "text": each.text} for each in result.segments]
        languages = [each.language for each in result.segments if each.language]
        told.update({"language": languages[0]} if languages else {})
    return told


async def link(file: File, jobs: Jobs, place: str | None) -> str | None:
    """A sound or picture by its address below `place`, or as a data URI: clients take that for a file, wherever they
    run.
    """
    if place is not None:
        return place + file.name
    data = await jobs.read(file.name)
    return None if data is None else f"data:{file.media_type};base64,{pybase64.b64encode(data).decode('ascii')}"
