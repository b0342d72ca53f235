"""The engine's process: clients that leave, death and return, unloading, and the server's end."""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.backends.conftest import checkpoint
from tests.backends.diffusers.asking import busy, generate
from tests.backends.diffusers.conftest import MANY, MODELS
from tests.backends.remote.asking import happens, metrics, post
from tests.conftest import Serve
from tests.dialects.openai.local import connect
from tests.running import Running

pytestmark = pytest.mark.diffusers

STEPS = 'engine_picture_steps_total{model="patches"}'
STOPS = 'engine_picture_stops_total{model="patches"}'
WAITING = 'engine_pictures_waiting{model="patches"}'
RUNNING = 'requests_running{model="patches"}'


def engines(server: Running) -> set[int]:
    """The processes that draw for a server."""
    found = set()
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdecimal() and b"backends.diffusers.child" in (entry / "cmdline").read_bytes():
                found |= {int(entry.name)} if parent(entry) == server.pid else set()
        except OSError:
            continue
    return found


def parent(entry: Path) -> int:
    return int((entry / "stat").read_text().rpartition(")")[2].split()[1])


def only(server: Running, model: str) -> int:
    """The process of that model, once no other is loaded."""
    for other in MODELS.keys() - {model}:
        order(server, other, "unload")
    [pid] = engines(server)
    return pid


def gone(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def order(server: Running, name: str, verb: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{server.url}/admin/models/{name}/{verb}", b"", method="POST")
    with urllib.request.urlopen(request, timeout=200) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def long_request(**fields: Any) -> bytes:
    asked = {"model": "patches", "prompt": "a", "size": "64x64", "num_inference_steps": MANY, **fields}
    return post(asked, "/v1/images/generations")


@pytest.mark.parametrize("fields", [{}, {"n": 3}, {"stream": True, "partial_images": 1}])
def test_a_client_that_leaves_ends_the_work(artists: Running, client: openai.OpenAI, fields: Any) -> None:
    generate(client, model="patches")
    before = metrics(artists)
    with connect(artists.port) as connection:
        connection.sendall(long_request(**fields))
        happens(lambda: metrics(artists)[STEPS] > before[STEPS] + 2, 30)
    happens(lambda: metrics(artists)[STOPS] == before[STOPS] + 1, 30)
    happens(lambda: metrics(artists)[RUNNING] == 0, 30)
    begun = metrics(artists)[STEPS]
    generate(client, model="patches")
    assert metrics(artists)[STEPS] - begun < 4 + 3
    assert metrics(artists)[STEPS] < before[STEPS] + MANY


def test_one_that_leaves_does_not_end_the_work_for_others(artists: Running, client: openai.OpenAI) -> None:
    before = metrics(artists)
    fields = {"num_inference_steps": 60}
    with connect(artists.port) as stays:
        with connect(artists.port) as leaves:
            with busy(client, artists, "patches"):
                for connection in (stays, leaves):
                    connection.sendall(long_request(**fields))
                happens(lambda: metrics(artists)[WAITING] == 2, 30)
            happens(lambda: metrics(artists)[STEPS] > before[STEPS] + 62, 30)
        happens(lambda: metrics(artists)[RUNNING] == 1, 30)
        assert b"200 OK" in stays.recv(65_536)
    assert metrics(artists)[STOPS] == before[STOPS]
    assert metrics(artists)[STEPS] == before[STEPS] + 120


def test_an_engine_that_is_killed_comes_back(artists: Running, client: openai.OpenAI) -> None:
    generate(client, model="patches")
    pid = only(artists, "patches")
    before = metrics(artists)[STEPS]
    with connect(artists.port) as connection:
        connection.sendall(long_request(stream=True))
        happens(lambda: metrics(artists)[STEPS] > before, 30)
        os.kill(pid, signal.SIGKILL)
        seen = b""
        while more := connection.recv(65_536):
            seen += more
    assert b"engine_failed" in seen
    with pytest.raises(openai.InternalServerError) as caught:
        generate(client, model="patches")
    assert (caught.value.status_code, caught.value.code) == (503, "engine_unavailable")
    happens(lambda: state(client, "patches") == "ready", 200)
    assert len(generate(client, model="patches").data) == 1
    assert engines(artists) != {pid}


def test_a_model_that_is_unloaded_gives_its_memory_back(artists: Running, client: openai.OpenAI) -> None:
    generate(client, model="patches")
    pid = only(artists, "patches")
    order(artists, "patches", "unload")
    assert gone(pid)
    assert state(client, "patches") == "unloaded"


def state(client: openai.OpenAI, model: str) -> Any:
    return client.models.retrieve(model).to_dict()["state"]


def test_the_engine_ends_with_a_server_that_is_killed(serve: Serve) -> None:
    model = f'[models.draws]\nbackend = "diffusers"\nmodel = {json.dumps(checkpoint("tiny-diffusion"))}\n'
    server = serve(model, path="")
    happens(lambda: len(engines(server)) == 1, 30)
    [pid] = engines(server)
    server.stop(signal.SIGKILL)
    happens(lambda: gone(pid), 30)


def test_what_is_not_loaded(serve: Serve, tmp_path: Path) -> None:
    """Weights that are pickles, code that comes with a model, and a folder that holds no pipeline."""
    folders = {name: tmp_path / name for name in ("pickle", "code", "nothing")}
    for folder in folders.values():
        copied(Path(checkpoint("tiny-diffusion")), folder)
    weights = folders["pickle"] / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    proof = tmp_path / "ran"
    (folders["code"] / "evil.py").write_text(f"open({str(proof)!r}, 'w')\nclass Evil: pass\n")
    (folders["code"] / "model_index.json").write_text(json.dumps({"_class_name": ["evil", "Evil"]}))
    (folders["nothing"] / "model_index.json").write_text("[]")
    table = '[models.{}]\nbackend = "diffusers"\nmodel = {}\n'
    server = serve("".join(table.format(name, json.dumps(str(each))) for name, each in folders.items()), path="")
    with server.client() as client:
        happens(lambda: {state(client, name) for name in folders} == {"failed"}, 200)
    assert not proof.exists()
    assert engines(server) == set()


def copied(source: Path, target: Path) -> None:
    """With links to the files, which are not written to."""
    for path in source.rglob("*"):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.is_file() and path.name == "model_index.json":
            place.write_bytes(path.read_bytes())
        elif path.is_file():
            place.symlink_to(path)
