"""How a job stands -> the answers to who waits for it, and to who asks again and again."""

from __future__ import annotations

import math
import time
from typing import Any

from openai_proxy.dialects import Edge
from openai_proxy.dialects.aime.endpoints import Endpoint
from openai_proxy.dialects.aime.faults import Refusal
from openai_proxy.dialects.aime.outputs import outputs, progress_data, sent_of, statistics
from openai_proxy.errors import TABLE, JobNotFound, ModelNotFound
from openai_proxy.jobs.job import Failure, Job
from openai_proxy.served import Served

# Codes of failures that the request itself is the reason of.
THEIRS = frozenset(row.code for row in TABLE.values() if row.status == 400)
EXPIRED = "expired"
UNKNOWN = -1
# A share that is too small to say how long the rest takes.
LITTLE = 0.02


class Progress:
    """The answers, out of jobs and their events alone."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    def begun(self, job_id: str, endpoint: Endpoint) -> dict[str, Any]:
        """What every answer begins with."""
        return {"success": True, "job_id": job_id, "ep_version": endpoint.version}

    async def result(self, job: Job, endpoint: Endpoint) -> dict[str, Any]:
        """The answer to who waited until the job ended. Raises Refusal or StoreFailed."""
        if job.state != "succeeded":
            why = failure_of(job)
            if why.code == EXPIRED:
                raise lapsed(job.id, endpoint.name)
            raise Refusal(400, [why.message]) if why.code in THEIRS else Refusal(500, why.message)
        return self.begun(job.id, endpoint) | await self._outcome(job, endpoint)

    async def standing(self, job: Job, endpoint: Endpoint) -> dict[str, Any]:
        """The answer to who asks how the job stands. Raises Refusal or StoreFailed."""
        if job.ended:
            told = {"job_state": "done", "job_result": await self._outcome(job, endpoint)}
        else:
            told = {"job_state": "processing" if job.state == "running" else "queued"}
        return self.begun(job.id, endpoint) | told | {"progress": await self._progress(job, endpoint)}

    async def _outcome(self, job: Job, endpoint: Endpoint) -> dict[str, Any]:
        """Outputs and statistics; of a job that failed the reason."""
        served, sent = self._served(job), sent_of(job, endpoint.name, endpoint.version)
        figures = statistics(job, sent, served)
        if job.state == "succeeded":
            try:
                events = await self.edge.jobs.events(job.id, None)
                return await outputs(job, events, sent, served, self.edge.jobs) | figures
            except JobNotFound:
                raise lapsed(job.id, endpoint.name) from None
        why = failure_of(job)
        if why.code == EXPIRED:
            raise lapsed(job.id, endpoint.name)
        return {"error": why.message, **figures}

    async def _progress(self, job: Job, endpoint: Endpoint) -> dict[str, Any]:
        served = self._served(job)
        told = {
            "job_id": job.id,
            "progress": 100 if job.ended else min(99, math.floor(100 * job.progress)),
            "queue_position": job.position if job.state == "queued" else 0,
            "estimate": 0 if job.ended else estimate(job, served, time.time()),
            "num_workers_online": int(served is not None and served.standing.answers),
        }
        if job.state == "queued" and not job.events:  # nearly all who ask
            return told
        try:
            events = await self.edge.jobs.events(job.id, None)
            data = await progress_data(job, events, self.edge.jobs)
        except JobNotFound:
            raise lapsed(job.id, endpoint.name) from None
        return told if data is None else {**told, "progress_data": data}

    def _served(self, job: Job) -> Served | None:
        """Its model, if that is still there."""
        try:
            return self.edge.router.find(job.model)
        except ModelNotFound:
            return None


def failure_of(job: Job) -> Failure:
    """Why there is no result."""
    if job.failure is not None:
        return job.failure
    return Failure("canceled", f"The job was {job.state}.")


def lapsed(job_id: str, endpoint: str) -> Refusal:
    """The job waited for too long, or its result was kept for as long as results are."""
    return Refusal(400, f"Job {job_id} on {endpoint} lapsed!", job_state="lapsed")


def estimate(job: Job, served: Served | None, now: float) -> float:
    """Seconds until the end: by the share that is done, or by how long others took; UNKNOWN before that is known."""
    if job.state == "running":
        if job.progress < LITTLE or job.started is None:
            return UNKNOWN
        return round((now - job.started) * (1 - job.progress) / job.progress, 1)
    if served is None or not served.admission.released:
        return UNKNOWN
    return round(served.admission.retry_after(job.position) + served.admission.service_seconds, 1)
