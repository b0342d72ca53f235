"""What there is: the endpoints, and what each of them takes and tells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from openai_proxy.dialects import Edge
from openai_proxy.dialects.aime.endpoints import Does, Endpoint
from openai_proxy.dialects.aime.inputs import COMMON, INPUTS
from openai_proxy.dialects.aime.outputs import backend_of
from openai_proxy.served import Served

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
TOLD = {"seed": INTEGER, "prompt": STRING, "error": STRING}
TEXT = {"text": STRING, "num_generated_tokens": INTEGER}
COUNTED = {
    **dict.fromkeys(("prompt_length", "current_context_length", "max_seq_len"), INTEGER),
    "model_name": STRING,
}
OUTPUTS: Mapping[Does, Mapping[str, Any]] = {
    "chat": {**TEXT, **COUNTED, **TOLD},
    "completion": {**TEXT, **COUNTED, **TOLD},
    "image": {"images": {"type": "image_list", "format": "JPEG"}, **TOLD},
    "speech": {"audio_output": {"type": "audio", "format": "wav"}, **TOLD},
    "transcription": {"text": STRING, **TOLD},
    "embedding": {"embeddings": {"type": "json"}, **TOLD},
}
PROGRESS: Mapping[Does, Mapping[str, Any]] = {
    "chat": TEXT,
    "completion": TEXT,
    "image": {"images": OUTPUTS["image"]["images"]},
    "speech": {},
    "transcription": {"text": STRING},
    "embedding": {},
}


async def details(endpoint: Endpoint, edge: Edge) -> dict[str, Any]:
    """All that is told of an endpoint. Raises StoreFailed."""
    told, served = endpoint.told, endpoint.served
    jobs = edge.config.jobs
    await edge.jobs.open()
    waiting = sum(kept.number for kept in await edge.jobs.store.counts() if kept.state == "queued")
    return {
        "name": endpoint.name,
        "title": told.title or endpoint.name,
        "description": told.description or served.known(endpoint.model).description or told.title or endpoint.name,
        "http_methods": ["GET", "POST"],
        "version": endpoint.version,
        "category": told.category or endpoint.kind,
        "max_queue_length": jobs.queued,
        "max_time_in_queue": jobs.queue_time,
        "free_queue_slots": max(0, jobs.queued - waiting),
        "num_workers": 1,
        "num_active_workers": int(served.standing.answers),
        "workers": [worker(endpoint, served)],
        "parameter_description": {
            "input": {**INPUTS[endpoint.kind], **COMMON},
            "output": OUTPUTS[endpoint.kind],
            "progress": {"OUTPUTS": PROGRESS[endpoint.kind]},
        },
    }


def worker(endpoint: Endpoint, served: Served) -> dict[str, Any]:
    """The model's engine, as if it were one of AIME's workers."""
    admission = served.admission
    return {
        "name": backend_of(served),
        "state": state_of(served),
        "max_batch_size": admission.slots,
        "free_slots": max(0, admission.slots - admission.running),
        "model": {"label": endpoint.model, "type": endpoint.kind, "repo_name": served.config.model or served.name},
    }


def state_of(served: Served) -> str:
    """One of the states that AIME's workers have."""
    if served.standing.withdrawn:
        return "disabled"
    if not served.standing.answers:
        return "offline"
    return "processing" if served.admission.running else "waiting"
