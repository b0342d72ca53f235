"""What a model answered -> what a container gives."""

from __future__ import annotations

import array
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import pybase64

from openai_proxy.errors import JobNotFound
from openai_proxy.jobs.job import File, Job, JobEvent
from openai_proxy.jobs.result import Result

# The bytes of a file of a job; None where they are gone.
Read: TypeAlias = Callable[[str], Awaitable[bytes | None]]


async def output(job: Job, events: Iterable[JobEvent], many: bool, read: Read) -> Any:
    """Text of chats and completions; a vector, or vectors where there are `many` texts; pictures and sounds as data
    URLs; the words of a transcript. Raises JobNotFound where its files are gone.
    """
    result = Result.of(events)
    match job.kind:
        case "embedding":
            vectors = [array.array("f", vector).tolist() for vector in result.vectors]
            return vectors if many or len(vectors) != 1 else vectors[0]
        case "image":
            return {"images": [await _data_url(file, read) for file in result.files]}
        case "speech":
            return {"audio": await _data_url(result.files[0], read)}
        case "transcription":
            return {"text": result.text.strip()}
        case _:
            return result.text


async def _data_url(file: File, read: Read) -> str:
    data = await read(file.name)
    if data is None:
        raise JobNotFound
    return f"data:{file.media_type};base64,{pybase64.b64encode(data).decode('ascii')}"
