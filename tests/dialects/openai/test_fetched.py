"""Pictures by address in chats: fetched here or left to the upstream, and each fault at its part."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.backends.remote.asking import happens, metrics, open_descriptors
from tests.backends.remote.serving import model, table
from tests.conftest import ECHO, servers
from tests.dialects.openai.gallery import PICTURES, Gallery
from tests.dialects.openai.local import CHAT, Answer, ask, chat, connect
from tests.dialects.openai.test_media import image, shown, words
from tests.pictures import data_url, picture
from tests.running import Running
from tests.upstream import Upstream, threaded

RED = data_url(picture())
REFUSAL = "messages.0.content.1: nothing could be fetched from this address."


@pytest.fixture(scope="module")
def gallery() -> Iterator[Gallery]:
    with Gallery() as shows:
        yield shows


@pytest.fixture(scope="module")
def theirs() -> Iterator[Upstream]:
    with threaded(models=("theirs",), kept=1000) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pictures")
    (made / "a.png").write_bytes(picture(size=(9, 9)))
    return made


@pytest.fixture(scope="module")
def server(
    gallery: Gallery, theirs: Upstream, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """`echo` looks; `here` is sent the pictures, `there` fetches them; `gone` and `gone-there` are not there."""
    media: dict[str, Any] = {"fetch": True, "schemes": ["https", "http"], "ports": [80, 443, gallery.port]}
    media |= {
        "networks": ["127.0.0.1/32"],
        "local_dir": str(folder),
        "domains": ["127.0.0.1", "localhost", "*.example"],
    }
    text = ECHO + table("media", media) + table("timeouts", {"fetch": 2.0, "fetch_connect": 1.0})
    text += table("limits", {"chat_fetched_bytes": 900, "url": 300, "chat_pixels": 20_000})
    closed = {"url": "http://127.0.0.1:9"}
    text += model("here", {"url": theirs.url}) + model("there", {"url": theirs.url}, fetch="upstream")
    text += model("gone", closed, fallback=["echo"]) + model("gone-there", closed, fetch="upstream", fallback=["here"])
    with servers(tmp_path_factory.mktemp("fetched")) as start:
        yield start(text)


def post(server: Running, body: dict[str, Any], path: str = CHAT) -> Answer:
    return ask(server.port, "POST", path, json.dumps(body).encode())


def said(answer: Answer) -> str:
    return str(answer.json["choices"][0]["message"]["content"])


def test_pictures_by_address_by_the_sdk(server: Running, gallery: Gallery) -> None:
    gallery.asked.clear()
    urls = [gallery.url(path) for path in ("/red.png", "/small.jpg", "/to/wide.gif", "/red.png")]
    content: Any = [words("See"), *map(image, urls), image(RED), words("!")]
    with server.client() as client:
        answer = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": content}])
        stream = client.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": content}], stream=True
        )
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert answer.choices[0].message.content == "See image 60x40 image 7x5 image 90x3 image 60x40 image 60x40 !"
    assert streamed == answer.choices[0].message.content
    once = ["/red.png", "/small.jpg", "/to/wide.gif", "/wide.gif"]
    assert sorted(gallery.asked) == sorted(once * 2)


def test_in_any_message_in_any_form(server: Running, gallery: Gallery, folder: Path) -> None:
    bare = {"type": "image_url", "image_url": gallery.url("/small.jpg", "localhost")}
    earlier = [{"role": "user", "content": [bare]}, {"role": "assistant", "content": "Nice."}]
    last = {"role": "user", "content": [words("and"), image(f"file://{folder}/a.png"), image(RED)]}
    assert said(post(server, chat(messages=[*earlier, last]))) == "and image 9x9 image 60x40"
    tokens = post(server, {"model": "echo", "messages": [*earlier, last]}, "/tokenize").json["tokens"]
    assert "image 7x5" in bytes(tokens).decode()


def test_each_fault_names_its_part(server: Running, gallery: Gallery, folder: Path) -> None:
    """One text for whatever came of asking; what the client could know without asking is told."""
    for url in (
        *(gallery.url("/none.png"), gallery.url("/page.png"), gallery.url("/to/to/to/to/red.png")),
        *(gallery.url("/red.png", "none.example"), gallery.url("/to//10.0.0.1/"), "http://127.0.0.1/"),
        *(f"file://{folder}/none.png", "file:///etc/passwd"),
    ):
        answer = post(server, shown(words("x"), image(url)))
        answer.refusal(400, "url_not_allowed", "messages.0.content.1")
        assert answer.error["message"] == REFUSAL
    for url, why in (
        *(("ftp://127.0.0.1/x", "not of a kind"), ("http://u@127.0.0.1/", "names a user"), (" http://a", "character")),
        *(("http://127.1/", "unusual spelling"), (gallery.url("/" + "x" * 300), "300 characters")),
        ("http://127.0.0.1:22/", "port"),
    ):
        answer = post(server, shown(words("x"), image(url)))
        answer.refusal(400, "url_not_allowed", "messages.0.content.1")
        assert why in answer.error["message"]
    answer = post(server, shown(words("x"), image("https://elsewhere.org/x")))
    assert answer.error["type"] == "permission_error"
    answer.refusal(403, "url_not_allowed", "messages.0.content.1")
    broken = post(server, shown(words("x"), image(gallery.url("/red.png")), image(gallery.url("/broken.png"))))
    broken.refusal(400, "invalid_image", "messages.0.content.2")


def test_nothing_is_fetched_for_a_body_that_is_wrong(server: Running, gallery: Gallery) -> None:
    gallery.asked.clear()
    good = image(gallery.url("/red.png"))
    post(server, shown(good, image("data:,x"))).refusal(400, "invalid_image", "messages.0.content.1")
    post(server, shown(good, image("ftp://x"))).refusal(400, "url_not_allowed", "messages.0.content.1")
    post(server, shown(good) | {"temperature": 3}).refusal(400, "invalid_value", "temperature")
    post(server, shown(*[good] * 21)).refusal(400, "too_many_items", "messages")
    post(server, shown(good, role="system")).refusal(400, "unsupported_parameter", "messages.0.content.0")
    assert gallery.asked == []


def test_bytes_and_pixels_of_all_pictures_together(server: Running, gallery: Gallery) -> None:
    """900 bytes of seven addresses, each fetched once, and 20,000 pixels, sent ones among them."""
    size = len(PICTURES["/red.png"])
    most = 900 // size
    assert 5 < most < 8  # the pixels of eight would be too many
    urls = [gallery.url(f"/red.png?{number}") for number in range(most + 1)]
    assert post(server, shown(*map(image, urls[:most]))).status == 200
    assert post(server, shown(*[image(urls[0])] * (most + 1))).status == 200
    post(server, shown(*map(image, urls))).refusal(400, "too_many_items", "messages")
    sent = [image(data_url(picture(size=(100, 194))))]
    assert post(server, shown(*sent, image(gallery.url("/small.jpg")))).status == 200
    over = post(server, shown(*sent, image(gallery.url("/red.png"))))
    over.refusal(400, "too_many_items", "messages")
    assert "pixels" in over.error["message"]


def test_an_upstream_is_sent_the_pictures(server: Running, gallery: Gallery, theirs: Upstream) -> None:
    """All else of the body goes on as it came."""
    body = shown(words("x"), image(gallery.url("/red.png"), detail="low"), image(RED)) | {"model": "here", "user": "u"}
    body["messages"].append(
        {"role": "user", "content": [{"type": "image_url", "image_url": gallery.url("/small.jpg")}]}
    )
    assert post(server, body).status == 200
    sent = theirs.seen().last[-1].json
    jpeg = "data:image/jpeg;base64," + base64.b64encode(PICTURES["/small.jpg"]).decode()
    body["messages"][0]["content"][1]["image_url"]["url"] = RED
    body["messages"][1]["content"][0]["image_url"] = jpeg
    assert sent == body | {"model": "theirs"}


def test_an_upstream_that_fetches_is_sent_the_addresses(
    server: Running, gallery: Gallery, theirs: Upstream, folder: Path
) -> None:
    """What the client wrote, byte for byte; files are this server's, and addresses are read with the same eyes."""
    gallery.asked.clear()
    raw = (
        b'{ "model": "theirs",  "messages": [{"role":"user","content":['
        + json.dumps(image("https://a.example:8443/x?y#z")).encode()
        + b"]}]}"
    )
    body = raw.replace(b'"theirs"', b'"there"')
    assert ask(server.port, "POST", CHAT, body).status == 200
    assert theirs.seen().last[-1].json == json.loads(raw)
    thinking = shown(image(gallery.url("/red.png"))) | {"model": "there", "include_reasoning": False}
    assert post(server, thinking).status == 200
    assert theirs.seen().last[-1].json["messages"][0]["content"] == [image(gallery.url("/red.png"))]
    both = [image(f"file://{folder}/a.png"), image(gallery.url("/red.png"))]
    assert post(server, shown(*both) | {"model": "there"}).status == 200
    file, address = theirs.seen().last[-1].json["messages"][0]["content"]
    assert file["image_url"]["url"].startswith("data:image/png;base64,")
    assert address == both[1]
    assert gallery.asked == []
    for url, status in (("http://u@a.example/", 400), ("gs://a/b", 400), ("https://elsewhere.org/", 403)):
        post(server, shown(image(url)) | {"model": "there"}).refusal(status, "url_not_allowed", "messages.0.content.0")


def test_models_that_stand_in(server: Running, gallery: Gallery, theirs: Upstream) -> None:
    """They are asked with what was fetched already; or with what nobody had to fetch until then."""
    gallery.asked.clear()
    body = shown(words("x"), image(gallery.url("/red.png")))
    assert said(post(server, body | {"model": "gone"})) == "x image 60x40"
    assert gallery.asked == ["/red.png"]
    assert post(server, body | {"model": "gone-there"}).status == 200
    assert gallery.asked == ["/red.png"] * 2
    assert theirs.seen().last[-1].json["messages"][0]["content"][1] == image(RED)


@pytest.mark.parametrize("quote", "'\"")
def test_data_urls_as_python_shows_bytes(server: Running, theirs: Upstream, quote: str) -> None:
    """As h2oGPT's client makes them; an upstream gets what it can read."""
    body = shown(words("x"), image(f"b{quote}{RED}{quote}"))
    assert said(post(server, body)) == "x image 60x40"
    assert post(server, body | {"model": "here"}).status == 200
    assert theirs.seen().last[-1].json["messages"][0]["content"] == [words("x"), image(RED)]
    for url in (f"b{quote}{RED}", f"b{quote}", f"b{quote}https://a.example/{quote}", f"c{quote}{RED}{quote}"):
        post(server, shown(words("x"), image(url))).refusal(400, "invalid_image", "messages.0.content.1")


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_ends_the_fetch(server: Running, gallery: Gallery, stream: bool) -> None:
    body = json.dumps(shown(image(gallery.url("/slow"))) | {"stream": stream}).encode()
    before = metrics(server)
    descriptors = open_descriptors(server)
    with connect(server.port) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        assert gallery.waiting.acquire(timeout=5)
    assert gallery.left.acquire(timeout=2)
    happens(
        lambda: (
            metrics(server)['media_fetches_total{outcome="canceled"}']
            == before['media_fetches_total{outcome="canceled"}'] + 1
        )
    )
    happens(lambda: open_descriptors(server) <= descriptors)


def test_what_is_counted_and_logged(server: Running, gallery: Gallery) -> None:
    before = metrics(server)
    post(server, shown(image(gallery.url("/small.jpg?token=secret"))))
    post(server, shown(image(gallery.url("/none.jpg?token=secret"))))
    after = metrics(server)
    grown = {name: after[name] - before[name] for name in after if "media_fetch" in name and "bucket" not in name}
    assert grown['media_fetches_total{outcome="ok"}'] == 1
    assert grown['media_fetches_total{outcome="refused"}'] == 1
    assert grown["media_fetched_bytes_total"] == len(PICTURES["/small.jpg"])
    assert grown["media_fetch_seconds_count"] == 2
    log = server.log.read_text()
    assert f"fetch from 127.0.0.1: ok ({len(PICTURES['/small.jpg'])} bytes), " in log
    assert "fetch from 127.0.0.1: refused (status 404), " in log
    assert "secret" not in log
    assert ".jpg" not in log


def test_without_the_setting_nothing_is_fetched(echo_server: Running, gallery: Gallery) -> None:
    gallery.asked.clear()
    content: Any = [image(gallery.url("/red.png"))]
    with echo_server.client() as client, pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="echo", messages=[{"role": "user", "content": content}])
    assert (caught.value.code, caught.value.param) == ("url_not_allowed", "messages.0.content.0")
    assert gallery.asked == []
