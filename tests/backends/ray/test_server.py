"""Models on a cluster of two nodes behind a whole server: as the client sees them, and when replicas die or come."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.backends.ray.conftest import CONFIG, replicas
from tests.conftest import Serve
from tests.running import Running

pytestmark = pytest.mark.ray

HELLO: Any = [{"role": "user", "content": "one two three"}]


def chat(server: Running, model: str, **script: Any) -> str:
    """The text of a streamed answer. Raises openai.APIError, also for an error event."""
    with server.client() as client:
        stream = client.chat.completions.create(
            model=model, messages=HELLO, stream=True, extra_body={"script": script} if script else None
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)


def until(true: Callable[[], bool], timeout: float = 40.0) -> float:
    """Wait until it is; the seconds that took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < timeout
        time.sleep(0.02)
    return time.monotonic() - began


def state(server: Running, model: str) -> str:
    with server.client() as client:
        found = client.models.retrieve(model).model_dump()
    return str(found["state"])


def test_the_sdk_is_content_with_streams_and_whole_answers(ray_server: Running) -> None:
    with ray_server.client() as client:
        whole = client.chat.completions.create(model="many", messages=HELLO)
        stream = client.chat.completions.create(
            model="many", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        vectors = client.embeddings.create(model="many", input=["a", "b"], encoding_format="float")
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert whole.choices[0].message.content == text == "one two three"
    assert chunks[-1].usage == whole.usage
    assert [each.index for each in vectors.data] == [0, 1]


def test_a_long_answer_arrives_whole_through_the_window(ray_server: Running) -> None:
    assert len(chat(ray_server, "many", chunks=5000, size=1000)) == 5_000_000


def test_errors_are_those_of_the_replica(ray_server: Running) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        chat(ray_server, "many", chunks="x")
    assert refused.value.param == "script"
    with pytest.raises(openai.InternalServerError) as failed:
        chat(ray_server, "many", fail="early")
    assert failed.value.code == "engine_failed"
    with pytest.raises(openai.InternalServerError) as unavailable:
        chat(ray_server, "many", fail="unavailable")
    assert unavailable.value.code == "engine_unavailable"
    assert int(unavailable.value.response.headers["retry-after"]) >= 1
    with pytest.raises(openai.APIError, match="failed"):
        chat(ray_server, "many", fail="late", after=3, chunks=9)


@pytest.mark.parametrize("silent", [True, False], ids=["before the first token", "in the middle"])
def test_a_client_that_leaves_ends_the_replicas_work_at_once(ray_server: Running, record: Path, silent: bool) -> None:
    before = record.read_text()
    script = {"first_delay": 30.0} if silent else {"delay": 0.05, "chunks": 1000}
    client = ray_server.client(timeout=1.0 if silent else 60)
    if silent:
        with pytest.raises(openai.APITimeoutError):
            client.chat.completions.create(model="recording", messages=HELLO, extra_body={"script": script})
    else:
        stream = client.chat.completions.create(
            model="recording", messages=HELLO, stream=True, extra_body={"script": script}
        )
        for _ in range(5):
            next(stream)
        stream.close()
    left = time.time()
    client.close()
    until(lambda: record.read_text() != before)
    assert float(record.read_text().split()[-1]) - left < 0.5


def test_a_dead_replica_takes_only_its_own_streams_along(ray_server: Running) -> None:
    until(lambda: len(replicas("many")) == 2)
    begun = threading.Barrier(13)

    def follow() -> str:
        with ray_server.client() as client:
            stream = client.chat.completions.create(
                model="many", messages=HELLO, stream=True, extra_body={"script": {"delay": 0.02, "chunks": 150}}
            )
            text = ""
            try:
                for number, chunk in enumerate(stream):
                    if number == 5:
                        begun.wait(30)
                    text += chunk.choices[0].delta.content or ""
            except openai.APIError as error:
                return str(error.code)
        return "whole" if len(text) == 150 * 8 else "cut"

    with ThreadPoolExecutor(12) as pool:
        running = [pool.submit(follow) for _ in range(12)]
        begun.wait(30)
        os.kill(replicas("many")[0], signal.SIGKILL)
        for _ in range(10):
            assert chat(ray_server, "many") == "one two three"
        ends = [each.result() for each in running]
    assert set(ends) == {"engine_failed", "whole"}
    until(lambda: len(replicas("many")) == 2)
    assert chat(ray_server, "many") == "one two three"


def test_without_any_replica_the_model_restarts_and_comes_back(ray_server: Running) -> None:
    [replica] = replicas("lone")
    os.kill(replica, signal.SIGKILL)
    assert until(lambda: state(ray_server, "lone") == "restarting") < 5.0
    began = time.monotonic()
    with pytest.raises(openai.InternalServerError) as unavailable:
        chat(ray_server, "lone")
    assert unavailable.value.code == "engine_unavailable"
    assert time.monotonic() - began < 1.0
    until(lambda: state(ray_server, "lone") == "ready")
    assert chat(ray_server, "lone") == "one two three"


def test_replicas_come_with_the_work_and_go_with_it(ray_server: Running) -> None:
    assert len(replicas("growing")) == 1
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            assert chat(ray_server, "growing", delay=0.05, chunks=20)

    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(work) for _ in range(8)]
        try:
            until(lambda: len(replicas("growing")) == 2)
        finally:
            stop.set()
        for each in running:
            each.result()
    until(lambda: len(replicas("growing")) == 1)


def test_an_unloaded_model_leaves_the_cluster_until_it_is_loaded(ray_server: Running) -> None:
    assert post(ray_server, "/admin/models/lone/unload")["state"] in ("unloaded", "stopping")
    until(lambda: not replicas("lone"))
    assert post(ray_server, "/admin/models/lone/load")["state"] in ("ready", "loading")
    until(lambda: state(ray_server, "lone") == "ready")
    assert chat(ray_server, "lone") == "one two three"


def test_without_a_cluster_the_model_has_failed_with_the_reason(serve: Serve) -> None:
    config = CONFIG.partition("[models.lone]")[0].format(address="127.0.0.1:1")
    server = serve(config, path="/livez")
    assert until(lambda: state(server, "many") == "failed") < 20.0
    with pytest.raises(openai.InternalServerError) as unavailable:
        chat(server, "many")
    assert unavailable.value.code == "engine_unavailable"
    assert "no Ray cluster answers at '127.0.0.1:1'" in server.output()
    assert server.stop() == 0


def post(server: Running, path: str) -> Any:
    import urllib.request

    with urllib.request.urlopen(urllib.request.Request(server.url + path, b"", method="POST"), timeout=60) as answer:
        return json.load(answer)
