"""Jobs that are polled: where they stand, what they have made so far, and what became of them."""

from __future__ import annotations

import asyncio
import base64
import itertools
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from openai_proxy.config import Config, JobSettings, ModelConfig
from openai_proxy.jobs.job import Failure, File
from openai_proxy.jobs.store import Bounds, Record
from openai_proxy.settings.protocols import Aime as Settings
from openai_proxy.settings.protocols import AimeEndpoint
from tests.dialects.aime.calling import Aime, Json, refusal
from tests.dialects.aime.conftest import ALICE, BOB
from tests.dialects.openai.local import Local
from tests.running import Running

BEGUN = {"success", "job_id", "ep_version", "job_state", "progress"}
PROGRESS = {"job_id", "progress", "queue_position", "estimate", "num_workers_online"}


def test_a_finished_job_tells_its_result_again_and_again(server: Running) -> None:
    client = Aime(server, "llama2_chat")
    job_id = client.begin(prompt="one two three")
    last = client.poll(job_id)[-1]
    assert last.keys() == BEGUN | {"job_result"}
    assert (last["success"], last["job_id"], last["ep_version"]) == (True, job_id, 3)
    result = last["job_result"]
    assert (result["text"], result["num_generated_tokens"], result["prompt"]) == ("one two three", 3, "one two three")
    assert not result.keys() & {"success", "job_id"}
    progress = last["progress"]
    assert progress.keys() == PROGRESS | {"progress_data"}
    assert (progress["job_id"], progress["progress"], progress["queue_position"]) == (job_id, 100, 0)
    assert progress["progress_data"] == {"text": "one two three", "num_generated_tokens": 3}
    assert client.progress(job_id).json() == last
    assert client.post("/llama2_chat/progress", {"job_id": job_id}).json() == last


def test_progress_never_falls_and_each_text_goes_on_from_the_one_before(server: Running) -> None:
    client = Aime(server, "slow")
    answers = client.poll(client.begin(prompt="hello", max_gen_tokens=30))
    before = answers[:-1]
    assert {answer["job_state"] for answer in before} <= {"queued", "processing"}
    numbers = [answer["progress"]["progress"] for answer in answers]
    assert numbers == sorted(numbers)
    assert max(numbers[:-1]) <= 99
    assert len(set(numbers)) > 3
    data = [answer["progress"]["progress_data"] for answer in answers if "progress_data" in answer["progress"]]
    texts = [each["text"] for each in data]
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert len(set(texts)) > 3
    counts = [each["num_generated_tokens"] for each in data]
    assert counts == sorted(counts)
    assert texts[-1] == answers[-1]["job_result"]["text"]
    assert any(answer["progress"]["estimate"] > 0 for answer in before)


def test_who_waits_in_the_queue_is_told_the_place(server: Running) -> None:
    client = Aime(server, "slow")
    jobs = [client.begin(prompt=f"number {number}", max_gen_tokens=30) for number in range(3)]
    first = [client.progress(job).json() for job in jobs]
    assert [each["job_state"] for each in first[1:]] == ["queued", "queued"]
    places = [each["progress"]["queue_position"] for each in first]
    assert places[1:] == [1, 2]
    assert all(each["progress"]["progress"] == 0 for each in first[1:])
    assert all("progress_data" not in each["progress"] for each in first[1:])
    for job in jobs:
        seen = [each["progress"]["queue_position"] for each in client.poll(job)]
        assert seen == sorted(seen, reverse=True)
        assert seen[-1] == 0
    # By now it is known how long a job takes.
    jobs = [client.begin(prompt="more", max_gen_tokens=30) for _ in range(2)]
    assert client.progress(jobs[1]).json()["progress"]["estimate"] > 0
    client.poll(jobs[1])


def test_the_poll_never_blocks(server: Running) -> None:
    client = Aime(server, "stalled")
    job_id = client.begin(prompt="hello")
    for _ in range(5):
        answer = client.progress(job_id)
        assert answer.elapsed.total_seconds() < 2
        assert answer.json()["job_state"] in ("queued", "processing")


def test_pictures_are_shown_as_they_are_made(server: Running) -> None:
    client = Aime(server, "painter")
    answers = client.poll(client.begin(prompt="dog", width=1024, num_samples=4))
    shown = [answer["progress"]["progress_data"]["images"] for answer in answers if has_images(answer)]
    assert all(image.startswith("data:image/JPEG;base64,") for images in shown for image in images)
    counts = [len(images) for images in shown]
    assert counts == sorted(counts)
    assert counts[-1] == 4
    assert shown[-1] == answers[-1]["job_result"]["images"]


def has_images(answer: Json) -> bool:
    return bool(answer["progress"].get("progress_data", {}).get("images"))


@pytest.mark.parametrize(("endpoint", "params"), [("speaker", {"text": "Hi there."}), ("vectors", {"text": "one"})])
def test_what_has_no_parts_is_there_at_the_end(server: Running, endpoint: str, params: Json) -> None:
    client = Aime(server, endpoint)
    waited = client.ask(**params)
    polled = client.poll(client.begin(**params))[-1]["job_result"]
    [name] = waited.keys() & {"audio_output", "embeddings"}
    assert polled[name] == waited[name]


def test_a_job_that_failed_is_done_with_an_error(server: Running) -> None:
    client = Aime(server, "broken")
    last = client.poll(client.begin(prompt="one two three four"))[-1]
    result = last["job_result"]
    assert (last["success"], last["job_state"]) == (True, "done")
    assert result.keys() >= {"error", "compute_duration", "total_duration"}
    assert isinstance(result["error"], str)
    assert "text" not in result


@pytest.mark.parametrize("job_id", [None, ""])
def test_progress_needs_a_job(server: Running, job_id: str | None) -> None:
    client = Aime(server, "llama2_chat")
    assert refusal(client.get("/llama2_chat/progress", job_id=job_id)) == (402, ["No job_id given"])
    assert refusal(client.post("/llama2_chat/progress", {})) == (402, ["No job_id given"])


def test_jobs_that_are_not_there(server: Running) -> None:
    client = Aime(server, "llama2_chat")
    job_id = str(uuid.uuid4())
    assert refusal(client.progress(job_id)) == (402, [f"Client has no active request with this job id {job_id}"])
    _, [told] = refusal(client.progress("x" * 5000))
    assert len(told) < 200


def test_only_a_job_s_owner_and_who_knows_its_id_may_look(locked: Running) -> None:
    client = Aime(locked, "public", ALICE)
    job_id = client.begin(prompt="hello")
    assert client.poll(job_id)[-1]["job_result"]["text"] == "hello"
    # With no credential the id is enough, as clients without a key send nothing else.
    assert client.get("/public/progress", job_id=job_id).json()["job_result"]["text"] == "hello"
    other = Aime(locked, "public", BOB)
    assert refusal(other.progress(job_id))[0] == 402
    for wrong in ({"key": "sk-wrong-0123456789abcdef"}, {"client_session_auth_key": "unknown"}):
        assert refusal(client.get("/public/progress", job_id=job_id, **wrong))[0] == 401
    session = client.login()["client_session_auth_key"]
    found = client.get("/public/progress", job_id=job_id, client_session_auth_key=session).json()
    assert found["job_state"] == "done"


def test_a_client_that_goes_while_it_waits_ends_its_job(server: Running) -> None:
    client = Aime(server, "held")
    before = running(server)
    leaving = threading.Thread(target=give_up, args=(client,))
    leaving.start()
    end = time.monotonic() + 10
    while running(server) <= before and time.monotonic() < end:
        time.sleep(0.02)
    leaving.join()
    end = time.monotonic() + 10
    while running(server) > before and time.monotonic() < end:
        time.sleep(0.02)
    assert running(server) == before


def give_up(client: Aime) -> None:
    url, body = f"{client.url}/held", {"prompt": "hello"}
    with pytest.raises(requests.Timeout):
        requests.post(url, json=body, timeout=1)


def running(server: Running) -> int:
    found = requests.get(f"{server.url}/api/endpoints/held", timeout=30).json()["workers"][0]
    used: int = found["max_batch_size"] - found["free_slots"]
    return used


# What became of jobs that others stored


class Store(Local):
    """An application whose jobs are in memory, where tests reach them."""

    def __init__(self, home: Path) -> None:
        self.runner = asyncio.Runner()
        models = {"echo": ModelConfig(backend="echo"), "drawn": ModelConfig(backend="echo")}
        models["stuck"] = ModelConfig(backend="echo", slots=1, options={"stall": True, "chunks": 3})
        endpoints = {"drawn": AimeEndpoint(model="drawn", kind="image")}
        jobs = JobSettings(database="memory", home=str(home), queued=1)
        self.config = Config(models=models, jobs=jobs, aime=Settings(endpoints=endpoints))
        self.runner.run(self._start())
        self.jobs = self.app.edge.jobs


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("jobs")) as application:
        yield application
        application.runner.run(application.jobs.close())


def kept(local: Store, **more: Any) -> str:
    """A job in the store, as another process or another protocol may have left it."""

    async def keep() -> str:
        await local.jobs.open()
        record = Record(
            id=str(uuid.uuid4()), owner="anonymous", origin="elsewhere", address="", kind="chat", model="echo", **more
        )
        await local.jobs.store.add(record, 1000, 30.0)
        return record.id

    return local.runner.run(keep())


def finished(local: Store, endpoint: str) -> str:
    """A job that was done."""
    body = {"prompt": "hello", "wait_for_result": False}
    job_id: str = local.post(f"/{endpoint}", body).json["job_id"]
    local.runner.run(local.jobs.wait(job_id, None, 10))
    return job_id


def asked(local: Store, job_id: str) -> tuple[int, Json]:
    answer = local.post("/echo/progress", {"job_id": job_id})
    return answer.status, answer.json


def test_a_job_of_another_protocol_can_be_read(local: Store) -> None:
    job_id = kept(local, state="succeeded", created=1.0, started=2.0, finished=4.0)
    status, found = asked(local, job_id)
    assert (status, found["job_state"]) == (200, "done")
    result = found["job_result"]
    assert (result["text"], result["prompt"], result["seed"]) == ("", "", -1)
    assert (result["compute_duration"], result["total_duration"]) == (2.0, 3.0)


def test_a_canceled_job_is_never_told_to_be_canceled(local: Store) -> None:
    status, found = asked(local, kept(local, state="canceled", finished=2.0))
    assert (status, found["job_state"]) == (200, "done")
    assert found["job_result"]["error"] == "The job was canceled."


def test_a_job_that_waited_too_long_has_lapsed(local: Store) -> None:
    job_id = kept(local, state="failed", finished=2.0, failure=Failure("expired", "It waited too long."))
    status, found = asked(local, job_id)
    assert (status, found["success"], found["job_state"]) == (400, False, "lapsed")
    assert found["error"] == f"Job {job_id} on echo lapsed!"


def test_a_result_that_is_not_kept_any_more_has_lapsed(local: Store) -> None:
    job_id = finished(local, "echo")
    assert asked(local, job_id)[1]["job_result"]["text"] == "hello"
    local.jobs._ended.clear()
    local.runner.run(local.jobs.store.sweep(Bounds(0.0, 0, 0)))
    status, found = asked(local, job_id)
    assert (status, found["error"], found["job_state"]) == (400, f"Job {job_id} on echo lapsed!", "lapsed")


def test_so_has_one_whose_pictures_are_gone(local: Store) -> None:
    job_id = finished(local, "drawn")
    assert len(asked(local, job_id)[1]["job_result"]["images"]) == 1
    events = local.runner.run(local.jobs.events(job_id, None))
    local.runner.run(local.jobs.files.delete([event.name for event in events if isinstance(event, File)]))
    assert asked(local, job_id)[1]["job_state"] == "lapsed"


def test_a_full_queue_is_told(local: Store) -> None:
    body = {"prompt": "hello", "wait_for_result": False}
    answers = [local.post("/stuck", body) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 400]
    assert answers[2].json == {"success": False, "error": "Job queue reached max length 1!", "ep_version": 1}
    for answer in answers[:2]:
        local.runner.run(local.jobs.cancel(answer.json["job_id"], None))


def test_data_uris_hold_base64(server: Running) -> None:
    client = Aime(server, "painter")
    image = client.poll(client.begin(prompt="dog", width=64))[-1]["job_result"]["images"][0]
    assert base64.b64decode(image.partition(",")[2], validate=True)[:3] == b"\xff\xd8\xff"
