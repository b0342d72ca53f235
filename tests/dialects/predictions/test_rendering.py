"""Jobs of other protocols as predictions."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from msgspec import json

from backends.events import Delta, Finish, Usage
from openai_proxy.dialects.predictions.prediction import output_of, shown
from openai_proxy.jobs.job import Failure, File, Job, JobEvent
from openai_proxy.jobs.jobs import Jobs

SAID: list[JobEvent] = [
    Delta("a"),
    Delta("", reasoning="why"),
    Delta(" b"),
    Finish("stop"),
    Usage(prompt=1, completion=2),
]


class Kept:
    """Jobs whose files are one byte, or none any more."""

    def __init__(self, data: bytes | None = b"x") -> None:
        self.data = data

    async def read(self, name: str) -> bytes | None:
        return self.data


def job(**fields: Any) -> Job:
    told: dict[str, Any] = {"id": "j", "owner": "o", "origin": "aime", "address": "", "kind": "chat", "model": "m"}
    told |= {"state": "succeeded", "sent": b"anything", "priority": 0, "created": 1.0}
    return Job(**told | fields)


def output(of: Job, events: list[JobEvent], data: bytes | None = b"x") -> Any:
    return asyncio.run(output_of(of, events, cast(Jobs, Kept(data))))


def test_one_of_another_protocol_has_all_keys() -> None:
    told = json.decode(json.encode(shown(job(), SAID, output(job(), SAID), "http://h/v1/predictions")))
    assert (told["model"], told["version"], told["input"], told["output"]) == ("local/m", "", {}, ["a", " b"])
    assert told["metrics"] == {"input_token_count": 1, "output_token_count": 2}
    assert (told["created_at"], told["urls"]["get"]) == ("1970-01-01T00:00:01.000000Z", "http://h/v1/predictions/j")


@pytest.mark.parametrize(
    ("state", "status"), [("queued", "starting"), ("running", "processing"), ("canceled", "canceled")]
)
def test_the_words_for_states(state: str, status: str) -> None:
    assert shown(job(state=state), (), None, "").status == status


def test_failures_and_progress_are_told() -> None:
    failed = shown(job(state="failed", failure=Failure("engine_failed", "It broke.")), (), None, "")
    assert (failed.status, failed.error) == ("failed", "It broke.")
    drawing = shown(job(state="running", kind="image", progress=0.35, note="drawing"), (), None, "")
    assert drawing.logs == f"drawing\n35%|{'█' * 7}{' ' * 13}| 35/100"


def test_files_that_are_gone() -> None:
    file: list[JobEvent] = [File("n", "image/png", 1)]
    assert output(job(kind="image"), file) == ["data:image/png;base64,eA=="]
    assert output(job(kind="image"), file, None) is None
    assert output(job(kind="speech"), file) == "data:image/png;base64,eA=="
    assert output(job(kind="chat"), []) is None
    assert output(job(kind="chat"), [Finish("stop")]) == []
