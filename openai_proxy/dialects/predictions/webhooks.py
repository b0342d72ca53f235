"""What webhooks are told of a prediction, and when. Source: https://replicate.com/docs/topics/webhooks

Each message is the whole prediction as it is read at that moment: only that of `completed` says that it has ended.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable
from functools import partial

import msgspec
from msgspec.structs import replace

from backends.events import Delta, Embedding, Segment
from openai_proxy.dialects.predictions.bodies import PredictionBody
from openai_proxy.dialects.predictions.prediction import ORIGIN, logs_of, shown, whole
from openai_proxy.errors import InvalidRequest
from openai_proxy.jobs.job import File, Job, JobEvent
from openai_proxy.jobs.jobs import Jobs
from openai_proxy.webhooks.calling import Message
from openai_proxy.webhooks.webhooks import Hook, Webhooks

EVENTS = ("start", "output", "logs", "completed")
# Output and logs are told at most once in so many seconds.
EVERY = 0.5
LOOK = 0.1


async def hook_of(body: PredictionBody, owner: str, place: str, webhooks: Webhooks) -> Hook | None:
    """The webhook that a body names, if it may be called; a new prediction gets its `job` as its id.

    Raises InvalidRequest and its kin.
    """
    if body.webhook is not None and body.webhook_completed is not None:
        raise InvalidRequest("webhook_completed cannot stand beside webhook.", param="webhook_completed")
    if body.webhook is not None:
        url, param, events = body.webhook, "webhook", tuple(body.webhook_events_filter or EVENTS)
    elif body.webhook_completed is not None:
        url, param, events = body.webhook_completed, "webhook_completed", ("completed",)
    else:
        return None
    await webhooks.accept(url, param)
    return Hook(teller=ORIGIN, job=str(uuid.uuid4()), owner=owner, url=url, events=events, place=place)


class Told:
    """Tells of predictions. `pace` is how many seconds are to be between two looks at one that waits for its turn."""

    def __init__(self, jobs: Jobs, pace: Callable[[], float]) -> None:
        self.jobs = jobs
        self.pace = pace

    async def early(self, hook: Hook) -> AsyncGenerator[Message, None]:
        """`start`, then output and logs as they change. The last output is told here only where `completed` is not."""
        wanted = frozenset(hook.events)
        if wanted == {"completed"}:
            return
        made, logs, number = 0, "", 0
        job = await self._begun(hook.job)
        if "start" in wanted and job.started is not None:
            yield Message("start", f"{hook.id}_start", partial(self._beginning, hook))
        while not job.ended or "completed" not in wanted:
            more = await self._made(job) if "output" in wanted else made
            said = logs_of(job) if "logs" in wanted else logs
            if more != made or said != logs:
                event = "output" if more != made else "logs"
                made, logs, number = more, said, number + 1
                yield Message(event, f"{hook.id}_{event}_{number}", partial(self._going_on, hook))
            if job.ended:
                return
            # Who waits for the end is told of it at once.
            await (self.jobs.wait(job.id, None, EVERY) if "completed" in wanted else asyncio.sleep(EVERY))
            job = await self.jobs.get(hook.job, None)

    async def last(self, hook: Hook) -> Message | None:
        """`completed`."""
        if "completed" not in hook.events:
            return None
        await self._begun(hook.job)
        await self.jobs.wait(hook.job, None)
        return Message("completed", f"{hook.id}_completed", partial(self._ended, hook))

    async def _begun(self, id: str) -> Job:
        """A job that does not wait for its turn any more."""
        job = await self.jobs.wait(id, None, LOOK)  # most do not, or not for long
        while job.state == "queued":
            await asyncio.sleep(self.pace())
            job = await self.jobs.get(id, None)
        return job

    async def _made(self, job: Job) -> int:
        """How many events of a job are output."""
        events = await self.jobs.events(job.id, None) if job.events else ()
        return sum(map(_is_output, events))

    async def _beginning(self, hook: Hook) -> bytes:
        job = await self.jobs.get(hook.job, None)
        job = replace(job, state="running", finished=None, failure=None, first=None, progress=0.0, note="", events=0)
        return msgspec.json.encode(shown(job, (), None, hook.place))

    async def _going_on(self, hook: Hook) -> bytes:
        job = await self.jobs.get(hook.job, None)
        if job.ended:  # meanwhile; that is told by itself
            job = replace(job, state="running", finished=None, failure=None)
        return msgspec.json.encode(await whole(job, self.jobs, hook.place))

    async def _ended(self, hook: Hook) -> bytes:
        job = await self.jobs.get(hook.job, None)
        return msgspec.json.encode(await whole(job, self.jobs, hook.place))


def _is_output(event: JobEvent) -> bool:
    if type(event) is Delta:
        return event.index == 0 and bool(event.text)
    return type(event) in (Segment, Embedding) or (type(event) is File and event.partial is None)
