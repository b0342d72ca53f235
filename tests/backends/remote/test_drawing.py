"""Pictures by other servers: what these are asked, what comes back, and what becomes of it when something is wrong."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import re
import urllib.request
from collections.abc import Iterator
from typing import Any

import msgspec
import openai
import pytest
from PIL import Image as Pillow

from backends.events import Event, Picture, Relayed, Usage
from backends.remote.answers import events_of_whole
from backends.remote.bodies import call
from backends.remote.drawing import PictureStream
from backends.remote.unreadable import Unreadable
from backends.requests import Form, Image, ImageRequest
from tests.backends.remote.asking import happens, line, metrics, post
from tests.backends.remote.serving import SERVER, model
from tests.conftest import servers
from tests.pictures import picture
from tests.running import Running
from tests.upstream import SeenRequest, Upstream, threaded

PATH = "/v1/images/generations"
WHITE = picture(size=(64, 64), colour="white")
CLEAR = picture(size=(64, 64), mode="RGBA", colour=(0, 0, 0, 0))
SENT = Image(WHITE, "image/png", 64, 64)


@pytest.fixture(scope="module")
def fake() -> Iterator[Upstream]:
    with threaded(models=("theirs",)) as upstream:
        yield upstream


@pytest.fixture(scope="module")
def server(fake: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    deadlines = "[timeouts]\nfirst_token = 0.5\nbetween_tokens = 0.5\n"
    with servers(tmp_path_factory.mktemp("drawing")) as start:
        yield start(SERVER + deadlines + model("ours", {"url": fake.url}))


@pytest.fixture(autouse=True)
def forgotten(fake: Upstream) -> None:
    fake.reset()


@pytest.fixture
def client(server: Running) -> Iterator[openai.OpenAI]:
    with server.client() as opened:
        yield opened


def asked(fake: Upstream) -> SeenRequest:
    [found] = [each for each in fake.seen().last if each.path.startswith("/v1/images")]
    return found


def told(fake: Upstream) -> dict[str, str]:
    """The texts of the form that came, by name; of a file its type."""
    found: dict[str, str] = {}
    body = asked(fake).body
    for part in body.split(f"\r\n{body.partition(chr(13))[0]}")[:-1]:
        head, _, value = part.partition("\r\n\r\n")
        name = re.search(r'\bname="([^"]*)"', head)
        kind = re.search("content-type: (.*)", head)
        assert name is not None
        found[name[1]] = value if kind is None else kind[1]
    return found


def test_a_request_goes_on_as_it_came_and_its_answer_comes_back_as_it_is(client: openai.OpenAI, fake: Upstream) -> None:
    answer = client.images.generate(model="ours", prompt="two words", size="64x48", n=2, quality="high", style="vivid")
    assert answer.data is not None
    shown = Pillow.open(io.BytesIO(base64.b64decode(answer.data[1].b64_json or "")))
    assert shown.size == (64, 48)
    assert answer.usage is not None
    assert answer.usage.output_tokens == 14
    sent = {"prompt": "two words", "size": "64x48", "n": 2, "quality": "high", "style": "vivid"}
    assert asked(fake).json == {"model": "theirs", **sent}


def test_all_that_an_upstream_may_know_is_forwarded(client: openai.OpenAI, fake: Upstream) -> None:
    own: Any = {"background": "transparent", "output_format": "gif", "frame_count": 3, "frame_duration_ms": 100}
    more = {"seed": 1, "guidance_scale": 2.5, "num_inference_steps": 4, "negative_prompt": "a", "strength": 0.5}
    rest: Any = {"complexity": "high", "svg": {"model": "a"}, "user": "u", "moderation": "low"}
    client.images.generate(model="ours", prompt="p", **own, **rest, extra_body=more)
    assert asked(fake).json == {"model": "theirs", "prompt": "p", **own, **rest, **more}


def test_what_is_wrong_is_refused_here(client: openai.OpenAI, fake: Upstream) -> None:
    streamed = {"output_format": "gif", "stream": True}
    for wrong in ({"n": 11}, {"size": "5000x16"}, {"prompt": ""}, {"style": "x"}, streamed):
        with pytest.raises(openai.BadRequestError) as caught:
            client.images.generate(**{"model": "ours", "prompt": "p", **wrong})  # type: ignore[call-overload]
        assert caught.value.param == next(iter(wrong))
    assert not fake.seen().requests


def test_a_stream_is_relayed_and_counted(client: openai.OpenAI, server: Running, fake: Upstream) -> None:
    row = 'completion_tokens_total{model="ours"}'
    before = metrics(server)[row]
    events = list(client.images.generate(model="ours", prompt="p", stream=True, partial_images=2))
    assert [event.type for event in events] == [*["image_generation.partial_image"] * 2, "image_generation.completed"]
    assert asked(fake).json == {"model": "theirs", "prompt": "p", "stream": True, "partial_images": 2}
    happens(lambda: metrics(server)[row] == before + 7)


def test_pictures_may_come_far_apart(client: openai.OpenAI, fake: Upstream) -> None:
    """Past the deadlines for tokens."""
    fake.script(first=0.8, delay=0.8)
    assert len(list(client.images.generate(model="ours", prompt="p", stream=True, partial_images=2))) == 3


def test_an_edit_is_a_form_written_anew(client: openai.OpenAI, fake: Upstream) -> None:
    sent = [("ü.png", WHITE, "image/x"), ("b.webp", picture("WEBP"), "image/webp")]
    answer = client.images.edit(
        model="ours", image=sent, mask=("m", CLEAR), prompt="two wörds\r\n--x", n=1, input_fidelity="high", size="32x32"
    )
    assert answer.size is None
    assert told(fake) == {
        **{"model": "theirs", "prompt": "two wörds\r\n--x", "n": "1", "input_fidelity": "high", "size": "32x32"},
        **{"image[]": "image/webp", "mask": "image/png"},
    }


def test_an_edit_with_an_object(client: openai.OpenAI, fake: Upstream) -> None:
    svg: Any = {"model": "a", "reasoning": {"effort": "low"}}
    client.images.edit(model="ours", image=("a", WHITE), prompt="p", output_format="svg", svg=svg)
    own = {"model": "theirs", "prompt": "p", "output_format": "svg", "image": "image/png"}
    assert told(fake) == {**own, "svg[model]": "a", "svg[reasoning][effort]": "low"}


def test_a_stream_of_an_edit(client: openai.OpenAI, fake: Upstream) -> None:
    events = list(client.images.edit(model="ours", image=("a", WHITE), prompt="p", stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]
    assert told(fake)["stream"] == "true"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_variation(client: openai.OpenAI, fake: Upstream) -> None:
    more = {"strength": 0.25, "seed": 7}
    answer = client.images.create_variation(model="ours", image=("a", WHITE), n=2, extra_body=more)
    assert answer.data is not None
    assert len(answer.data) == 2
    assert told(fake) == {"model": "theirs", "n": "2", "strength": "0.25", "seed": "7", "image": "image/png"}


def test_addresses_are_of_this_server(client: openai.OpenAI, server: Running, fake: Upstream) -> None:
    """The upstream's own may be reached by nobody else."""
    answer = client.images.generate(model="ours", prompt="p", size="30x20", response_format="url")
    assert asked(fake).json["response_format"] == "b64_json"
    assert answer.usage is not None
    assert answer.data is not None
    [item] = answer.data
    assert item.b64_json is None
    assert (item.url or "").startswith(f"{server.url}/v1/images/files/")
    with urllib.request.urlopen(item.url or "") as fetched:
        assert Pillow.open(io.BytesIO(fetched.read())).size == (30, 20)


@pytest.mark.parametrize("script", [{"first": 60}, {"delay": 60}])
def test_a_client_that_leaves_closes_the_upstreams_connection(
    server: Running, fake: Upstream, script: dict[str, Any]
) -> None:
    fake.script(**script)
    stream = "delay" in script
    request = post({"model": "ours", "prompt": "p", "stream": stream, "partial_images": 2 * stream}, PATH)

    async def story() -> float:
        async with line(server, request) as connection:
            if stream:
                await connection.until(b"partial_image_index")
            while not fake.seen(0).running:
                await asyncio.sleep(0.01)
            return connection.leave()

    left = asyncio.run(story())
    seen = fake.wait_for(lambda seen: seen.aborted)
    assert seen.aborted[0].at - left < 0.5


@pytest.mark.parametrize("fault", ["error-event", "malformed-sse", "close-after-2", "reset-after-2"])
def test_a_broken_stream_ends_with_an_error(client: openai.OpenAI, fake: Upstream, fault: str) -> None:
    fake.script(fault=fault)
    with pytest.raises(openai.APIError):
        list(client.images.generate(model="ours", prompt="p", stream=True, partial_images=3))


@pytest.mark.parametrize("fault", ["crlf", "comments", "merged", "split", "no-done"])
def test_odd_streams_are_streams(client: openai.OpenAI, fake: Upstream, fault: str) -> None:
    fake.script(fault=fault)
    assert len(list(client.images.generate(model="ours", prompt="p", stream=True, partial_images=3))) == 4


@pytest.mark.parametrize(
    ("fault", "status"),
    [("status-400", 400), ("status-500", 500), ("wrong-type", 500), ("truncated-json", 500)],
)
def test_refusals_and_nonsense(client: openai.OpenAI, fake: Upstream, fault: str, status: int) -> None:
    fake.script(fault=fault)
    with pytest.raises(openai.APIStatusError) as caught:
        client.images.generate(model="ours", prompt="p")
    assert caught.value.status_code == status


def body_of(request: ImageRequest) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(call(request, "theirs").body)
    return body


def test_a_request_of_another_form_is_written_anew() -> None:
    plain = {"model": "theirs", "prompt": "p", "n": 1, "response_format": "b64_json"}
    assert body_of(ImageRequest(model="m", prompt="p", partial=2)) == plain
    full = ImageRequest(
        model="m",
        prompt="p",
        width=64,
        height=32,
        effort=2.0,
        steps=4,
        guidance=1.5,
        strength=0.5,
        negative_prompt="n",
        transparent=True,
        seed=3,
        extra={"style": "vivid"},
    )
    assert body_of(full) == {
        **plain,
        **{"size": "64x32", "quality": "high", "num_inference_steps": 4, "guidance_scale": 1.5, "strength": 0.5},
        **{"negative_prompt": "n", "background": "transparent", "seed": 3, "style": "vivid"},
    }
    for effort, quality in ((0.5, "low"), (3.0, "xhigh"), (4.0, "max")):
        assert body_of(ImageRequest(model="m", effort=effort))["quality"] == quality


def test_pictures_of_another_form() -> None:
    edit = call(ImageRequest(model="m", task="edit", prompt="p", images=(SENT, SENT), mask=SENT), "theirs")
    assert edit.path == "v1/images/edits"
    assert edit.body.count(WHITE) == 3
    assert edit.body.count(b'name="image[]"; filename="image') == 2
    vary = call(ImageRequest(model="m", task="vary", images=(SENT,)), "theirs")
    assert vary.path == "v1/images/variations"
    assert b'name="prompt"' not in vary.body
    assert b'name="image"; filename="image0.png"\r\ncontent-type: image/png\r\n\r\n' in vary.body


def whole(request: ImageRequest, body: Any) -> list[Event]:
    return list(events_of_whole(request, msgspec.json.encode(body)))


def test_whole_answers_as_events() -> None:
    request = ImageRequest(model="m", prompt="p")
    spent = {"input_tokens": 3, "output_tokens": 4, "input_tokens_details": {"image_tokens": 2, "text_tokens": 1}}
    body = {"created": 1, "data": [{"b64_json": "YQ=="}, {"b64_json": "Yg=="}], "usage": spent}
    counted = Usage(prompt=3, completion=4, pictures=2)
    assert whole(request, body) == [Picture(b"a", 0), Picture(b"b", 1), counted]
    assert whole(request, {"data": []}) == [Usage()]
    form = msgspec.structs.replace(request, form=Form({}))
    assert whole(form, body) == [Relayed(msgspec.json.encode(body), 0), counted]
    assert whole(form, {"data": []}) == [Relayed(b'{"data":[]}', 0)]
    bad: list[Any] = [{"data": [{"url": "http://x"}]}, {"data": [{"b64_json": "!"}]}, {"data": None}, []]
    for wrong in bad:
        with pytest.raises(Unreadable):
            whole(request, wrong)


def test_line_ends_that_are_cut_in_two() -> None:
    stream = PictureStream()
    assert stream.feed(b'data: {"type": "image_edit.completed"}\r\n\r') == b""
    assert stream.feed(b"\n") == b'event: image_edit.completed\ndata: {"type": "image_edit.completed"}\n\n'


@pytest.mark.parametrize(
    "event",
    [
        b'data: {"type": "x"}',
        b"data: {}",
        b"data: nothing",
        b'data: {"type": "image_\\n\\ndata: x"}',
        b'data: {"type": "image_edit.completed", "b64_json": "\xff"}',
    ],
)
def test_what_is_no_event_of_pictures(event: bytes) -> None:
    with pytest.raises(Unreadable):
        PictureStream().feed(event + b"\n\n")


def test_events_in_pieces_and_what_comes_after_the_end() -> None:
    stream = PictureStream()
    data = b': x\n\nevent: a\ndata: {"type": "image_edit.completed",\ndata: "usage": {"output_tokens": 2}}\n\n'
    written = b"".join(stream.feed(data[at : at + 1]) for at in range(len(data)))
    assert written.startswith(b"event: image_edit.completed\ndata: {")
    assert written.endswith(b'.completed", "usage": {"output_tokens": 2}}\n\n')
    assert (stream.finished, stream.usage) == (1, Usage(completion=2))
    assert stream.feed(b'data: {"error": {"message": "m"}}\n\ndata: {"type": "image_edit.completed"}\n\n') == b""
    assert (stream.done, stream.finished) == (True, 1)
