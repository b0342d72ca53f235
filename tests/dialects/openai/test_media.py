"""Pictures and sounds in chats: what is shown, what is refused and where."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import openai
import pytest

from openai_proxy.config import Limits, ModelConfig
from tests.dialects.openai.local import CHAT, Answer, Local, chat
from tests.pictures import data_url, picture
from tests.running import Running
from tests.sounds import encoded, tone

RED = data_url(picture())
WAV = base64.b64encode(tone(1.0)).decode()


def image(url: Any = RED, **more: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url, **more}}


def sound(data: str = WAV, kind: str = "wav") -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": data, "format": kind}}


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def shown(*parts: Any, role: str = "user") -> dict[str, Any]:
    return chat(messages=[{"role": role, "content": list(parts)}])


def said(answer: Answer) -> str:
    return str(answer.json["choices"][0]["message"]["content"])


@pytest.fixture(scope="module")
def blind() -> Iterator[Local]:
    with Local(models={"echo": ModelConfig(backend="echo", options={"modalities": []})}) as application:
        yield application


def test_pictures_and_sounds_by_the_sdk(echo_server: Running) -> None:
    mp3 = base64.b64encode(encoded(tone(2.0), "mp3", "libmp3lame")).decode()
    content: Any = [words("What is"), image(), sound(), sound(mp3, "mp3"), words("?")]
    with echo_server.client() as client:
        answer = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": content}])
        stream = client.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": content}], stream=True
        )
        streamed = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert answer.choices[0].message.content == "What is image 60x40 audio 1.0s audio 2.0s ?"
    assert streamed == answer.choices[0].message.content


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_each_format_whatever_the_url_says(local: Local, kind: str) -> None:
    data = picture(kind, (7, 5))
    for named in ("PNG", kind):
        assert said(local.post(CHAT, shown(image(data_url(data, named))))) == "image 7x5"


@pytest.mark.parametrize(
    ("detail", "size"),
    [("auto", "3000x2100"), ("original", "3000x2100"), (None, "3000x2100"), ("low", "512x358"), ("high", "1097x768")],
)
def test_detail_says_how_many_pixels_are_shown(local: Local, detail: str | None, size: str) -> None:
    photo = data_url(picture("JPEG", (3000, 2100)), "JPEG")
    assert said(local.post(CHAT, shown(image(photo, detail=detail)))) == f"image {size}"
    assert said(local.post(CHAT, shown(image(detail=detail)))) == "image 60x40"
    part = {"type": "input_image", "image_url": photo, **({"detail": detail} if detail else {})}
    assert said(local.post(CHAT, shown(part))) == f"image {size}"


def test_a_model_has_its_largest_side() -> None:
    photo = data_url(picture("JPEG", (1600, 1200)), "JPEG")
    with Local(models={"echo": ModelConfig(backend="echo", image_side=800)}) as application:
        for detail, size in ((None, "800x600"), ("original", "800x600"), ("low", "512x384"), ("high", "800x600")):
            assert said(application.post(CHAT, shown(image(photo, detail=detail)))) == f"image {size}"


@pytest.mark.parametrize(
    ("part", "param", "code"),
    [
        ({"image_url": "x"}, "", "invalid_image"),
        ({"image_url": RED, "detail": "huge"}, ".detail", "invalid_value"),
        ({"file_id": "file-1"}, ".file_id", "unknown_parameter"),
        ({"detail": "low"}, ".image_url", "invalid_value"),
    ],
)
def test_input_image_parts_that_are_refused(local: Local, part: dict[str, Any], param: str, code: str) -> None:
    found = local.post(CHAT, shown({"type": "input_image", **part}))
    found.refusal(400, code, f"messages.0.content.0{param}")


def test_twenty_pictures_and_no_more(local: Local) -> None:
    assert said(local.post(CHAT, shown(*[image()] * 20))).count("60x40") == 20
    local.post(CHAT, shown(*[image()] * 21)).refusal(400, "too_many_items", "messages")


def test_a_bare_url_and_other_heads_of_it(local: Local) -> None:
    tail = RED.partition(",")[2]
    for head in ("data:;base64,", "data:image/png;charset=x;base64,", "DATA:image/PNG;BASE64,"):
        assert said(local.post(CHAT, shown({"type": "image_url", "image_url": head + tail}))) == "image 60x40"


def test_base64_as_browsers_take_it(local: Local) -> None:
    head, _, tail = RED.partition(",")
    lines = "\r\n".join(tail[at : at + 76] for at in range(0, len(tail), 76))
    assert "=" in tail
    for other in (f" {head},{lines}\n", f"{head}, {tail}", f"{head},{tail.rstrip('=')}", f"{head},{quote(tail, '')}"):
        assert said(local.post(CHAT, shown(image(other)))) == "image 60x40"


def test_a_picture_in_an_earlier_message(local: Local) -> None:
    earlier = [{"role": "user", "content": [image()]}, {"role": "assistant", "content": "Nice."}]
    body = chat(messages=[*earlier, {"role": "user", "content": "one two"}])
    assert said(local.post(CHAT, body)) == "one two"
    broken = picture("JPEG", (300, 200))[:1000]
    body["messages"][0]["content"][0] = image(data_url(broken, "JPEG"))
    local.post(CHAT, body).refusal(400, "invalid_image", "messages.0.content.0")


@pytest.mark.parametrize(
    "url",
    [
        *("http://127.0.0.1/x.png", "https://example.org/x.png", "HTTPS://example.org/x", " http://x", "file:///etc/x"),
        *("ftp://x", "javascript:alert(1)", "y:z"),
    ],
)
def test_nothing_is_fetched(local: Local, url: str) -> None:
    answer = local.post(CHAT, shown(words("x"), image(url)))
    answer.refusal(400, "url_not_allowed", "messages.0.content.1")
    why = "files of this machine are not read" if url.startswith("file") else "fetching is not enabled"
    assert why in answer.error["message"]


@pytest.mark.parametrize(
    "url",
    [
        *("", "x", "/etc/passwd", "\0data:image/png;base64,eA==", "data:image/png,plain", "data:image/png;base64,@@@"),
        *("data:image/png;base64,eA==", "data:" + "x" * 500 + ";base64,eA==", RED + "!", data_url(picture()[:40])),
        *(data_url(picture("JPEG", (300, 200))[:900]), data_url(b"<svg/>"), data_url(tone(0.1))),
    ],
)
def test_pictures_that_are_refused(local: Local, url: str) -> None:
    local.post(CHAT, shown(words("x"), image(url))).refusal(400, "invalid_image", "messages.0.content.1")


@pytest.mark.parametrize(
    ("data", "kind"),
    [("", "wav"), ("@", "wav"), (WAV[:40], "wav"), (WAV, "mp3"), (RED.partition(",")[2], "wav"), (WAV[:61], "wav")],
)
def test_sounds_that_are_refused(local: Local, data: str, kind: str) -> None:
    local.post(CHAT, shown(words("x"), sound(data, kind))).refusal(400, "invalid_audio", "messages.0.content.1")


@pytest.mark.parametrize(
    ("part", "param", "code"),
    [
        ({"type": "image_url", "image_url": {"url": RED, "size": 1}}, "image_url.size", "unknown_parameter"),
        ({"type": "image_url", "image_url": {"url": RED, "detail": "huge"}}, "image_url.detail", "invalid_value"),
        ({"type": "image_url", "image_url": {"detail": "low"}}, "image_url.url", "invalid_value"),
        ({"type": "image_url", "image_url": None}, "image_url", "invalid_value"),
        ({"type": "input_audio", "input_audio": {"data": WAV, "format": "ogg"}}, "input_audio.format", "invalid_value"),
        ({"type": "input_audio", "input_audio": {"format": "wav"}}, "input_audio.data", "invalid_value"),
    ],
)
def test_fields_of_parts(local: Local, part: dict[str, Any], param: str, code: str) -> None:
    local.post(CHAT, shown(part)).refusal(400, code, f"messages.0.content.0.{param}")


@pytest.mark.parametrize("part", [image(), image("http://x"), sound(), {"type": "input_image", "image_url": RED}])
def test_a_model_that_cannot_says_so(blind: Local, part: dict[str, Any]) -> None:
    param = "messages.0.content.1"
    blind.post(CHAT, shown(words("x"), part)).refusal(400, "unsupported_parameter", param)


@pytest.mark.parametrize("role", ["system", "developer", "assistant"])
def test_only_users_show_pictures(local: Local, role: str) -> None:
    local.post(CHAT, shown(image(), role=role)).refusal(400, "unsupported_parameter", "messages.0.content.0")


@pytest.mark.parametrize("part", [image(), words("x")])
def test_ten_thousand_parts(local: Local, part: dict[str, Any]) -> None:
    local.post(CHAT, shown(*[part] * 10_000)).refusal(400, "too_many_items", "messages")


@pytest.mark.parametrize("kind", ["video_url", "audio_url", "image_embeds", "prompt_embeds"])
def test_other_parts_are_not_known(local: Local, kind: str) -> None:
    part = {"type": kind, kind: {"url": "data:video/mp4;base64,AAAA"}}
    local.post(CHAT, shown(part)).refusal(400, "invalid_value", "messages.0.content.0.type")


def test_a_chat_to_tokenize_may_have_pictures(local: Local, blind: Local) -> None:
    body = shown(words("a"), image())
    del body["model"]
    found = local.post("/tokenize", {"model": "echo", **body}).json
    assert bytes(found["tokens"]).decode().startswith("user: a image 60x40")
    blind.post("/tokenize", {"model": "echo", **body}).refusal(400, "unsupported_parameter", "messages.0.content.1")


SMALL = Limits(media=3, image_pixels=200, chat_pixels=300, image_side=50, audio_part_seconds=2)


@pytest.mark.parametrize(
    ("fits", "over", "code"),
    [
        ([image(data_url(picture(size=(5, 5))))] * 3, [image(data_url(picture(size=(5, 5))))] * 4, "too_many_items"),
        ([sound()] * 3, [sound()] * 2 + [image(data_url(picture(size=(5, 5))))] * 2, "too_many_items"),
        ([image(data_url(picture(size=(20, 10))))], [image(data_url(picture(size=(20, 11))))], "invalid_image"),
        (
            [image(data_url(picture(size=(15, 10))))] * 2,
            [image(data_url(picture(size=(15, 10))))] * 2 + [image(data_url(picture(size=(1, 1))))],
            "too_many_items",
        ),
        ([image(data_url(picture(size=(1, 50))))], [image(data_url(picture(size=(1, 51))))], "invalid_image"),
        (
            [sound(base64.b64encode(tone(2.0)).decode())],
            [sound(base64.b64encode(tone(2.1)).decode())],
            "invalid_audio",
        ),
    ],
)
def test_limits(fits: list[Any], over: list[Any], code: str) -> None:
    with Local(SMALL) as small:
        assert small.post(CHAT, shown(*fits)).status == 200
        param = "messages" if code == "too_many_items" else "messages.0.content.0"
        small.post(CHAT, shown(*over)).refusal(400, code, param)


def test_a_large_picture_is_read_beside_the_loop(echo_server: Running) -> None:
    noisy = base64.b64encode(picture("PNG", (1800, 1800), compress_level=0)).decode()
    with echo_server.client() as client:
        content: Any = [image(f"data:image/png;base64,{noisy}")]
        answer = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content == "image 1800x1800"


def test_models_say_what_they_take(echo_server: Running) -> None:
    with echo_server.client() as client:
        entry: Any = client.models.retrieve("echo")
    assert entry.modalities == ["text", "audio", "image"]
    assert isinstance(entry, openai.types.Model)
