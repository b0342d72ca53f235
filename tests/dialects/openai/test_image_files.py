"""Pictures at addresses: fetched as they are, for a while, within a bound, and by nobody who was not told."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import urllib.error
import urllib.request
from typing import Any

import openai
import pytest
from PIL import Image

from backends.errors import Overloaded
from openai_proxy.config import Config, Limits, Timeouts
from openai_proxy.dialects.openai.image_links import relinked
from openai_proxy.image_files import ImageFiles
from tests.conftest import ECHO, Serve
from tests.dialects.openai.local import ask
from tests.pictures import picture
from tests.running import Running

KINDS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+(/v1/images/files/[A-Za-z0-9_-]{43}\.(png|jpg|webp))")


def linked(client: openai.OpenAI, **fields: Any) -> list[str]:
    answer = client.images.generate(model="echo", prompt="a", size="64x64", response_format="url", **fields)
    assert answer.data is not None
    assert all(item.b64_json is None for item in answer.data)
    return [item.url or "" for item in answer.data]


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_fetched_by_its_address(echo_server: Running, kind: Any) -> None:
    with echo_server.client() as client:
        urls = linked(client, n=2, output_format=kind)
    assert len(set(urls)) == 2
    for url in urls:
        assert ADDRESS.fullmatch(url)
        with urllib.request.urlopen(url) as answer:
            head, data = answer.headers, answer.read()
        assert head["content-type"] == KINDS[kind]
        assert head["x-content-type-options"] == "nosniff"
        assert head["content-security-policy"] == "default-src 'none'; sandbox"
        assert 3500 < int(re.fullmatch(r"private, max-age=(\d+)", head["cache-control"])[1]) <= 3600  # type: ignore[index]
        assert Image.open(io.BytesIO(data)).size == (64, 64)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_edits_and_variations_too(echo_server: Running) -> None:
    file = ("a.png", picture(size=(64, 64)))
    with echo_server.client() as client:
        edited = client.images.edit(model="echo", image=file, prompt="a", response_format="url").data
        varied = client.images.create_variation(model="echo", image=file, response_format="url").data
    for item in (*(edited or ()), *(varied or ())):
        with urllib.request.urlopen(item.url or "") as answer:
            assert Image.open(io.BytesIO(answer.read())).size == (64, 64)


@pytest.mark.parametrize(
    "name", ["a.png", "a" * 43 + ".png", "a" * 43 + ".svg", "..%2F..%2Fetc%2Fpasswd", "%00", "x" * 5000]
)
def test_other_names_are_not_there(echo_server: Running, name: str) -> None:
    ask(echo_server.port, "GET", f"/v1/images/files/{name}").refusal(404, "not_found", None)


def test_the_address_is_one_that_clients_know(serve: Serve) -> None:
    config = ECHO.replace("[server]\n", '[server]\npublic_url = "https://ai.example.org"\n')
    with serve(config).client() as client:
        [url] = linked(client)
    assert url.startswith("https://ai.example.org/v1/images/files/")


@pytest.mark.parametrize("open_images", [False, True])
def test_a_key_is_needed_unless_the_operator_says_otherwise(serve: Serve, open_images: bool) -> None:
    config = ECHO.replace("[server]\n", f"[server]\nopen_images = {str(open_images).lower()}\n")
    server = serve(config, path="/livez", OPENAI_PROXY_KEYS="sk-one-secret-of-ours")
    with server.client(api_key="sk-one-secret-of-ours", max_retries=20) as client:
        [url] = linked(client)
    path = ADDRESS.fullmatch(url)[1]  # type: ignore[index]
    assert ask(server.port, "GET", path, authorization="Bearer sk-one-secret-of-ours").status == 200
    assert ask(server.port, "GET", path).status == (200 if open_images else 401)
    assert ask(server.port, "GET", "/v1/images/files/a.png").status == (404 if open_images else 401)
    assert ask(server.port, "POST", path, b"{}").status == 401
    assert ask(server.port, "GET", "/v1/models").status == 401


def test_several_workers_find_each_others(serve: Serve) -> None:
    server = serve(ECHO.replace("[server]\n", "[server]\nworkers = 2\n"))
    with server.client() as client:
        urls = linked(client, n=3)
    for url in urls * 8:  # each on a connection of its own, to either worker
        with urllib.request.urlopen(url) as answer:
            assert Image.open(io.BytesIO(answer.read())).size == (64, 64)
    ask(server.port, "GET", f"/v1/images/files/{'a' * 43}.png").refusal(404, "not_found", None)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def files(room: int = 100, seconds: float = 10.0) -> tuple[ImageFiles, Clock]:
    config = Config(limits=Limits(stored_images=room), timeouts=Timeouts(stored_image=seconds))
    clock = Clock()
    return ImageFiles(lambda: config, clock), clock


def put(store: ImageFiles, size: int) -> str:
    return store.put(bytes(size), "image/png")


def held(store: ImageFiles, name: str) -> int | None:
    kept = store.find(name)
    return None if kept is None else len(kept.data)


def test_the_oldest_is_forgotten_when_there_is_no_room() -> None:
    store, _ = files(room=100)
    first, second, third = put(store, 40), put(store, 60), put(store, 1)
    assert [held(store, name) for name in (first, second, third)] == [None, 60, 1]


def test_all_are_forgotten_in_time() -> None:
    store, clock = files(seconds=10.0)
    name = put(store, 40)
    clock.now += 9.9
    assert held(store, name) == 40
    clock.now += 0.1
    assert held(store, name) is None
    assert put(store, 100)


def test_what_could_never_be_kept_is_refused() -> None:
    store, _ = files(room=100)
    assert put(store, 100)
    with pytest.raises(Overloaded):
        put(store, 101)


def test_what_another_server_gave_is_put_at_addresses_if_it_is_a_picture() -> None:
    kept: list[tuple[bytes, str]] = []

    def address(data: bytes, media_type: str) -> str:
        kept.append((data, media_type))
        return f"u{len(kept)}"

    svg = base64.b64encode(b"<svg/>").decode()
    webp = picture("WEBP")
    items = [{"b64_json": base64.b64encode(webp).decode(), "revised_prompt": "p"}, {"b64_json": svg}, {"url": "x"}, 5]
    body = json.dumps({"created": 1, "data": items, "usage": None}).encode()
    told = json.loads(asyncio.run(relinked(body, address)))
    assert told == {"created": 1, "data": [{"revised_prompt": "p", "url": "u1"}, *items[1:]], "usage": None}
    assert kept == [(webp, "image/webp")]
