"""A job and its events -> what AIME's clients read of it. The job may have come through any protocol."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pybase64
from msgspec import Struct

from openai_proxy import __version__
from openai_proxy.errors import JobNotFound
from openai_proxy.jobs.job import File, Job, JobEvent
from openai_proxy.jobs.jobs import Jobs
from openai_proxy.jobs.result import Result
from openai_proxy.served import Served

ORIGIN = "aime"
# The clients know no other spelling.
TYPES = {"image/jpeg": "image/JPEG", "image/png": "image/PNG"}
# Where the backends do not compute in this machine's processor.
DEVICES = {"remote": "remote", "ray": "remote", "vllm": "gpu", "program": "program"}


class Sent(Struct):
    """What is kept of a request for its answer: the name of its endpoint, its prompt, the seed that is used, and when
    it came, in Unix seconds.
    """

    endpoint: str
    version: int
    prompt: str | list[str]
    seed: int
    arrived: float


def sent_of(job: Job, endpoint: str, version: int) -> Sent:
    """What was kept; of a job of another protocol only little is known."""
    if job.origin == ORIGIN:
        return msgspec.json.decode(job.sent, type=Sent)
    return Sent(endpoint, version, "", -1, job.created)


def statistics(job: Job, sent: Sent, served: Served | None) -> dict[str, Any]:
    """How long it took, and who did it."""
    ended = job.finished or job.created
    return {
        "compute_duration": round(max(0.0, ended - (job.started or ended)), 3),
        "total_duration": round(max(0.0, ended - sent.arrived), 3),
        "auth": "" if served is None else backend_of(served),
        "worker_interface_version": f"openai-proxy {__version__}",
    }


def backend_of(served: Served) -> str:
    """The model's engine by a name as AIME's workers have them."""
    backend = served.config.backend
    device = served.config.options.get("device", DEVICES.get(backend, "cpu"))
    return f"{backend}_{device}_0"


async def outputs(
    job: Job, events: Sequence[JobEvent], sent: Sent, served: Served | None, jobs: Jobs
) -> dict[str, Any]:
    """All that a job made. Raises JobNotFound where some of it is not kept any more, or StoreFailed."""
    found = Result.of(events)
    told: dict[str, Any] = {"seed": sent.seed, "prompt": sent.prompt}
    match job.kind:
        case "chat" | "completion":
            context = None if served is None else served.known(job.model).context
            return {**_text(found, context), "model_name": job.model, **told}
        case "image":
            return {"images": [await _data_uri(file, jobs) for file in found.files], **told}
        case "speech":
            return {"audio_output": await _data_uri(found.files[0], jobs) if found.files else "", **told}
        case "embedding":
            return {"embeddings": [array("f", vector).tolist() for vector in found.vectors], **told}
        case _:
            return {"text": found.text, **told}


def _text(found: Result, context: int | None) -> dict[str, Any]:
    read = found.usage.prompt if found.usage is not None else 0
    written = found.usage.completion if found.usage is not None else len(found.pieces)
    return {
        "text": found.text,
        "num_generated_tokens": written,
        "prompt_length": read,
        "current_context_length": read + written,
        "max_seq_len": context,
    }


async def progress_data(job: Job, events: Sequence[JobEvent], jobs: Jobs) -> Mapping[str, Any] | None:
    """What a job made so far; None: nothing yet. Raises JobNotFound or StoreFailed."""
    found = Result.of(events)
    match job.kind:
        case "chat" | "completion":
            written = len(found.pieces) if found.usage is None else max(found.usage.completion, len(found.pieces))
            return {"text": found.text, "num_generated_tokens": written} if found.pieces else None
        case "transcription":
            return {"text": found.text} if found.pieces else None
        case "image":
            latest = {**found.unfinished, **{file.index: file for file in found.files}}
            images = [await _data_uri(latest[index], jobs) for index in sorted(latest)]
            return {"images": images} if images else {}
        case _:
            return None


async def _data_uri(file: File, jobs: Jobs) -> str:
    """Raises JobNotFound where the file is not there any more."""
    data = await jobs.read(file.name)
    if data is None:
        raise JobNotFound
    return f"data:{TYPES.get(file.media_type, file.media_type)};base64,{pybase64.b64encode(data).decode('ascii')}"
