"""Sounds and pictures of jobs at addresses: for whom they are, for as long as their jobs are kept."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import Struct
from PIL import Image

from openai_proxy import keys
from tests.conftest import Serve, servers
from tests.dialects.openai.local import Answer, ask
from tests.dialects.predictions.calls import RUN, RUN_SSE, events, post, prediction
from tests.running import Running

CONFIG = """
[server]
workers = 2
[predictions]
files = "address"
[models.echo]
backend = "echo"
"""
OPEN = 'server = { open_images = true }\njobs = { database = "memory", keep = 1.5 }\n'
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+(/v1/jobs/files/[A-Za-z0-9_-]{51}\.(png|jpg|webp|wav|mp3))")
DRAWN = {"prompt": "a", "width": 64, "height": 64, "output_format": "png"}


class Shop(Struct):
    """A server of two processes, and the keys that it knows."""

    server: Running
    alice: dict[str, str]
    bob: dict[str, str]
    operator: dict[str, str]

    def fetch(self, url: str, method: str = "GET", **headers: str) -> Answer:
        return ask(self.server.port, method, path_of(url), None, **headers)


def path_of(url: str) -> str:
    found = ADDRESS.fullmatch(url)
    assert found, url
    return found[1]


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    made = {name: keys.new("any")[0] for name in ("alice", "bob", "ops:admin")}
    known = ",".join(f"{name}={key}" for name, key in made.items())
    with servers(tmp_path_factory.mktemp("shop")) as start:
        yield Shop(start(CONFIG, path="/health", OPENAI_PROXY_KEYS=known), *map(bearer, made.values()))


def run(shop: Shop, **inputs: Any) -> Any:
    return prediction(post(shop.server, RUN, {"model": "echo", "input": inputs}, **shop.alice))["output"]


def test_pictures_are_fetched_by_their_addresses(shop: Shop) -> None:
    urls = run(shop, **DRAWN, num_outputs=2)
    assert len(set(urls)) == 2
    for url in urls * 3:  # by either process
        answer = shop.fetch(url, **shop.alice)
        assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
        assert Image.open(io.BytesIO(answer.body)).size == (64, 64)
        assert answer.headers["content-length"] == str(len(answer.body))
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
        left = re.fullmatch(r"private, max-age=(\d+)", answer.headers["cache-control"])
        assert left
        assert 86_300 < int(left[1]) <= 86_400


def test_a_large_sound_comes_in_pieces(shop: Shop) -> None:
    url = run(shop, text="word " * 300, format="wav")
    answer = shop.fetch(url, **shop.alice)
    assert (answer.status, answer.headers["content-type"], answer.body[:4]) == (200, "audio/wav", b"RIFF")
    assert len(answer.body) > 2_000_000
    head = shop.fetch(url, "HEAD", **shop.alice)
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(answer.body)))


def test_streams_tell_addresses_that_are_good_at_once(shop: Shop) -> None:
    body = {"model": "echo", "input": {**DRAWN, "num_outputs": 2}}
    told = events(post(shop.server, RUN_SSE, body, **shop.alice).body)
    urls = [data for name, _, data in told if name == "output"]
    assert [shop.fetch(url, **shop.alice).status for url in urls] == [200, 200]


def test_operators_are_told_addresses_and_may_fetch(shop: Shop) -> None:
    [url] = run(shop, **DRAWN)
    newest = ask(shop.server.port, "GET", "/admin/jobs?owner=alice&limit=1", None, **shop.operator).json["jobs"][0]
    job = ask(shop.server.port, "GET", f"/admin/jobs/{newest['id']}", None, **shop.operator).json
    assert [(file["url"], file["name"]) for file in job["files"]] == [(url, url.rpartition("/")[2])]
    assert shop.fetch(url, **shop.operator).status == 200


def test_they_are_for_their_owner_only(shop: Shop) -> None:
    [url] = run(shop, **DRAWN)
    shop.fetch(url, **shop.bob).refusal(404, "not_found", None)
    shop.fetch(url).refusal(401, "missing_api_key", None)
    assert shop.fetch(url, "POST", **shop.alice).status == 405


@pytest.mark.parametrize("name", ["a.png", f"{'a' * 43}.png", "..%2F..%2Fjobs.db", "%00", "x" * 5000])
def test_other_names_are_not_there(shop: Shop, name: str) -> None:
    ask(shop.server.port, "GET", f"/v1/jobs/files/{name}", None, **shop.alice).refusal(404, "not_found", None)


def test_where_the_settings_say_so_the_name_is_enough_until_the_job_is_forgotten(serve: Serve) -> None:
    key, _ = keys.new("alice")
    config = f'{OPEN}predictions = {{ files = "address" }}\nmodels = {{ echo = {{ backend = "echo" }} }}\n'
    server = serve(config, path="/livez", OPENAI_PROXY_KEYS=key)
    while (answer := post(server, RUN, {"model": "echo", "input": DRAWN}, **bearer(key))).status == 503:
        time.sleep(0.05)
    [url] = prediction(answer)["output"]
    first = ask(server.port, "GET", path_of(url))
    assert (first.status, first.headers["cache-control"]) == (200, "private, max-age=1")
    end = time.monotonic() + 10
    while (answer := ask(server.port, "GET", path_of(url))).status == 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    answer.refusal(404, "not_found", None)
    ask(server.port, "GET", "/v1/jobs/files/a.png").refusal(404, "not_found", None)
    assert ask(server.port, "GET", "/admin/jobs").status == 401
