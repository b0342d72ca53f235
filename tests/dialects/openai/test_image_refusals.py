"""What no picture is drawn for: each wrong value and each limit, from both sides, by the name of its field."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from PIL import Image

from openai_proxy.config import Limits, ModelConfig
from tests.dialects.openai.forms import form, part, send
from tests.dialects.openai.local import Answer, Local, ask
from tests.pictures import picture, saved
from tests.running import Running

GENERATIONS, EDITS, VARIATIONS = "/v1/images/generations", "/v1/images/edits", "/v1/images/variations"
WHITE = picture(size=(64, 64), colour="white")
CLEAR = picture(size=(64, 64), mode="RGBA", colour=(0, 0, 0, 0))
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="64" height="64"/>'


def generated(local: Local, **fields: Any) -> Answer:
    return local.post(GENERATIONS, {"model": "echo", "prompt": "a", "size": "64x64", **fields})


def edited(local: Local, *files: tuple[str, bytes], path: str = EDITS, **fields: Any) -> Answer:
    """An edit of a white picture if no other files are given."""
    parts = [part(name, data, "a.png") for name, data in files or (("image", WHITE),)]
    texts = {"model": "echo", "prompt": "a", **fields} if path == EDITS else {"model": "echo", **fields}
    return send(local, form(*parts, *(part(name, str(value)) for name, value in texts.items())), path)


def animated() -> bytes:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


@pytest.fixture(scope="module")
def small() -> Iterator[Local]:
    """Small limits, and a model that draws but tells no sizes and honours nothing."""
    limits = Limits(image_prompt=5, drawn_side=32, image_pixels=5000, chat_pixels=8200, media=2, form_parts=9)
    plain = ModelConfig(backend="tests.dialects.openai.plain_artist:PlainArtist")
    models = {"echo": ModelConfig(backend="echo"), "plain": plain}
    with Local(limits, models=models) as application:
        yield application


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": " \n"}, "prompt"),
        ({"prompt": "a" * 32_001}, "prompt"),
        ({"negative_prompt": "a" * 32_001}, "negative_prompt"),
        ({"n": 0}, "n"),
        ({"n": 11}, "n"),
        ({"size": "1x1"}, "size"),
        ({"size": "100000x100000"}, "size"),
        ({"size": "64"}, "size"),
        ({"size": "64x64\n"}, "size"),
        ({"size": "0x0"}, "size"),
        ({"quality": "best"}, "quality"),
        ({"quality": "low", "num_inference_steps": 3}, "quality"),
        ({"response_format": "png"}, "response_format"),
        ({"output_format": "tiff"}, "output_format"),
        ({"output_format": "jpeg", "output_compression": 101}, "output_compression"),
        ({"output_format": "jpeg", "output_compression": -1}, "output_compression"),
        ({"output_compression": 50}, "output_compression"),
        ({"output_format": "png", "output_compression": 50}, "output_compression"),
        ({"background": "green"}, "background"),
        ({"background": "transparent", "output_format": "jpeg"}, "background"),
        ({"moderation": "none"}, "moderation"),
        ({"style": "calm"}, "style"),
        ({"partial_images": 4, "stream": True}, "partial_images"),
        ({"partial_images": 1}, "partial_images"),
        ({"partial_images": 1, "stream": False}, "partial_images"),
        ({"stream": True, "response_format": "url"}, "response_format"),
        ({"stream": "true"}, "stream"),
        ({"guidance_scale": -1}, "guidance_scale"),
        ({"guidance_scale": 101}, "guidance_scale"),
        ({"num_inference_steps": 0}, "num_inference_steps"),
        ({"num_inference_steps": 1001}, "num_inference_steps"),
        ({"seed": 0.5}, "seed"),
        ({"user": "u" * 513}, "user"),
        ({"model": "m" * 201}, "model"),
        ({"script": {"fail": "x"}}, "script"),
    ],
)
def test_wrong_values(local: Local, fields: Any, param: str) -> None:
    generated(local, **fields).refusal(400, "invalid_value", param)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        *(({"output_format": kind}, "output_format") for kind in ("gif", "svg")),
        ({"svg": {"model": "a"}}, "svg"),
        ({"complexity": "low"}, "complexity"),
        ({"frame_count": 3}, "frame_count"),
        ({"frame_duration_ms": 200}, "frame_duration_ms"),
        ({"strength": 0.5}, "strength"),
    ],
)
def test_what_this_engine_does_not_do(local: Local, fields: Any, param: str) -> None:
    generated(local, **fields).refusal(400, "unsupported_parameter", param)


def test_the_other_side_of_the_bounds(local: Local) -> None:
    fields = {"prompt": "a" * 32_000, "negative_prompt": "a" * 32_000, "n": 10, "user": "u" * 512}
    assert generated(local, **fields, guidance_scale=100, num_inference_steps=1000, seed=2**63 - 1).status == 200
    assert generated(local, guidance_scale=0, num_inference_steps=1, seed=-(2**63), n=1).status == 200
    for compression in (0, 100):
        assert generated(local, output_format="webp", output_compression=compression).status == 200


def test_the_sizes_are_listed(local: Local) -> None:
    answer = generated(local, size="65x65")
    answer.refusal(400, "invalid_value", "size")
    assert "64x64, 256x256" in answer.error["message"]


def test_the_sizes_that_the_listing_tells_are_drawn(local: Local, small: Local) -> None:
    entry = local.send("GET", "/v1/models/echo").json
    assert (entry["sizes"][:2], entry["steps"]["medium"], "sides" in entry) == (["64x64", "256x256"], 20, False)
    assert all(generated(local, size=size).json["size"] == size for size in entry["sizes"])
    assert small.send("GET", "/v1/models/plain").json.keys() & {"sizes", "sides", "steps"} == set()


def test_what_a_model_tells_that_draws_any_size() -> None:
    free = ModelConfig(backend="tests.dialects.openai.plain_artist:FreeArtist")
    with Local(models={"free": free}) as application:
        sides = application.send("GET", "/v1/models/free").json["sides"]
        assert sides == {"smallest": 16, "largest": 64, "multiple": 8}
        for size in ("16x64", "24x24"):
            assert generated(application, model="free", size=size).json["size"] == size
        for size in ("8x16", "16x72", "20x16"):
            answer = generated(application, model="free", size=size)
            answer.refusal(400, "invalid_value", "size")
            assert "multiples of 8 from 16 to 64 pixels" in answer.error["message"]
        assert edited(application, model="free").status == 200
        answer = edited(application, ("image", WHITE), ("image", WHITE), model="free")
        answer.refusal(400, "unsupported_parameter", "image")
        assert answer.error["message"] == "This model takes one picture."


def test_unknown_fields_and_models(local: Local) -> None:
    generated(local, colour="red").refusal(400, "unknown_parameter", "colour")
    generated(local, model="nobody").refusal(404, "model_not_found", "model")
    edited(local, colour="red").refusal(400, "unknown_parameter", "colour")
    edited(local, path=VARIATIONS, prompt="a").refusal(400, "unknown_parameter", "prompt")
    local.post(GENERATIONS, b"{").refusal(400, "invalid_json", None)


@pytest.mark.parametrize(
    ("files", "fields", "code", "param"),
    [
        ((("mask", CLEAR),), {}, "invalid_value", "image"),
        ((("image", WHITE), ("mask", picture(size=(64, 63), mode="RGBA"))), {}, "invalid_image", "mask"),
        ((("image", WHITE), ("mask", WHITE)), {}, "invalid_image", "mask"),
        ((("image", WHITE), ("mask", b"x")), {}, "invalid_image", "mask"),
        ((("image", WHITE), ("mask", CLEAR), ("mask", CLEAR)), {}, "invalid_value", "mask"),
        ((("image", WHITE), ("markup", CLEAR)), {}, "unsupported_parameter", "markup"),
        ((("image", SVG),), {}, "invalid_image", "image"),
        ((("image", b""),), {}, "invalid_image", "image"),
        ((("image", animated()),), {}, "invalid_image", "image"),
        ((("image", WHITE[:-20]),), {}, "invalid_image", "image"),
        ((("image", WHITE[:50] + bytes(20) + WHITE[70:]),), {}, "invalid_image", "image"),
        ((("image[]", WHITE), ("image[]", SVG)), {}, "invalid_image", "image"),
        ((("image[]", WHITE),) * 21, {}, "too_many_items", "image"),
        ((("image", WHITE),), {"input_fidelity": "high"}, "unsupported_parameter", "input_fidelity"),
        ((("image", WHITE),), {"svg[model]": "a"}, "unsupported_parameter", "svg"),
        ((("image", WHITE),), {"svg[reasoning][effort]": "huge"}, "invalid_value", "svg"),
        ((("image", WHITE),), {"svg[reasoning]": "low", "svg[reasoning][effort]": "low"}, "invalid_value", "svg"),
        ((("image", WHITE),), {"svg[reasoning][effort]": "low", "svg[reasoning]": "low"}, "invalid_value", "svg"),
        ((("image", WHITE),), {"svg[a][b][c]": "low"}, "unknown_parameter", "svg[a][b][c]"),
        ((("image", WHITE),), {"prompt": ""}, "invalid_value", "prompt"),
        ((("image", WHITE),), {"n": "11"}, "invalid_value", "n"),
        ((("image", WHITE),), {"strength": "1.1"}, "invalid_value", "strength"),
        ((("image", WHITE),), {"stream": "maybe"}, "invalid_value", "stream"),
        ((("image", WHITE),), {"partial_images": "2"}, "invalid_value", "partial_images"),
    ],
)
def test_wrong_edits(local: Local, files: Any, fields: Any, code: str, param: str) -> None:
    edited(local, *files, **fields).refusal(400, code, param)


def test_as_many_parts_as_a_form_has(local: Local) -> None:
    """Every field that an edit can have at once, with as many pictures as a chat has."""
    fields: dict[str, Any] = {
        **{"n": 1, "size": "64x64", "response_format": "b64_json", "output_format": "webp", "output_compression": 50},
        **{"background": "opaque", "moderation": "low", "user": "u", "safety_identifier": "s", "seed": 1},
        **{"guidance_scale": 1, "num_inference_steps": 2, "negative_prompt": "n", "strength": 0.5},
        **{"stream": "false", "partial_images": 0},
    }
    files = [("image[]", WHITE)] * 20
    assert len(fields) + len(("model", "prompt", "mask")) == Limits().form_parts - 1
    assert edited(local, *files, ("mask", CLEAR), **fields).status == 200
    edited(local, *files, ("image", WHITE), ("mask", CLEAR), **fields).refusal(400, "too_many_items", "image")
    assert edited(local, *files, ("mask", CLEAR), quality="auto", **fields).status == 200
    edited(local, *files, *[("mask", CLEAR)] * 3, **fields).refusal(400, "too_many_items", None)


@pytest.mark.parametrize("data", [SVG, animated(), WHITE[:-20], b"x" * 100])
def test_wrong_variations(local: Local, data: bytes) -> None:
    edited(local, ("image", data), path=VARIATIONS).refusal(400, "invalid_image", "image")


@pytest.mark.parametrize("data", [SVG, animated(), picture("GIF")])
def test_what_edits_take_is_told(local: Local, data: bytes) -> None:
    """They take less than chats do."""
    for files in ([("image", data)], [("image", WHITE), ("mask", data)]):
        message = edited(local, *files).error["message"]
        assert message == f"{files[-1][0]} is a picture that is not taken: it is no PNG, JPEG or WebP that can be read."


@pytest.mark.parametrize("path", [EDITS, VARIATIONS])
def test_an_image_must_be_there_and_be_a_file(local: Local, path: str) -> None:
    prompt = [part("prompt", "a")] if path == EDITS else []
    send(local, form(part("image", "x"), *prompt), path).refusal(400, "invalid_value", "image")
    send(local, form(part("model", "echo"), *prompt), path).refusal(400, "invalid_value", "image")


def test_a_mask_fits_the_upright_picture(local: Local) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(Image.new("RGB", (64, 32), "white"), "JPEG", exif=exif)
    upright = picture(size=(32, 64), mode="RGBA", colour=(0, 0, 0, 0))
    assert edited(local, ("image", turned), ("mask", upright)).status == 200
    lying = picture(size=(64, 32), mode="RGBA", colour=(0, 0, 0, 0))
    edited(local, ("image", turned), ("mask", lying)).refusal(400, "invalid_image", "mask")


def test_configured_limits(small: Local) -> None:
    assert generated(small, prompt="12345").status == 200
    generated(small, prompt="123456").refusal(400, "invalid_value", "prompt")
    generated(small, negative_prompt="123456").refusal(400, "invalid_value", "negative_prompt")
    for size, status in (("16x32", 200), ("15x32", 400), ("32x33", 400)):
        assert generated(small, model="plain", size=size).status == status
    two = [("image", WHITE), ("image", WHITE)]
    assert edited(small, *two).status == 200
    edited(small, *two, ("image", WHITE)).refusal(400, "too_many_items", "image")
    wide = picture(size=(70, 64))
    edited(small, *two[:1], ("image", wide)).refusal(400, "invalid_image", "image")
    edited(small, ("image", picture(size=(80, 80)))).refusal(400, "invalid_image", "image")


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"seed": 1}, "seed"),
        ({"guidance_scale": 1}, "guidance_scale"),
        ({"num_inference_steps": 1}, "num_inference_steps"),
        ({"negative_prompt": "a"}, "negative_prompt"),
        ({"style": "vivid"}, "style"),
        ({"quality": "high"}, "quality"),
        ({"background": "transparent"}, "background"),
        ({"stream": True, "partial_images": 1}, "partial_images"),
        ({"script": {}}, "script"),
    ],
)
def test_a_model_that_honours_nothing(small: Local, fields: Any, param: str) -> None:
    generated(small, model="plain", size="auto", **fields).refusal(400, "unsupported_parameter", param)


def test_a_model_that_only_draws_from_words(small: Local) -> None:
    for quality in ("auto", "medium", "standard"):
        assert generated(small, model="plain", size="auto", quality=quality, background="auto").status == 200
    assert generated(small, model="plain", size="auto", negative_prompt="", seed=None).status == 200
    edited(small, model="plain").refusal(400, "unsupported_parameter", "model")
    edited(small, path=VARIATIONS, model="plain").refusal(400, "unsupported_parameter", "model")


def test_the_model_that_an_empty_name_means(small: Local) -> None:
    """One that does nothing else comes first."""
    shown = generated(small, model="", size="auto").json
    assert shown["size"] == "16x16"


def test_an_engine_that_draws_what_nobody_can_read(small: Local) -> None:
    generated(small, model="plain", prompt="bad", size="auto").refusal(500, "engine_failed", None)


def test_a_model_that_does_not_draw_and_none_that_does() -> None:
    deaf = {"deaf": ModelConfig(backend="tests.dialects.openai.deaf:Deaf")}
    with Local(models=deaf) as application:
        generated(application, model="deaf").refusal(400, "unsupported_parameter", "model")
        generated(application, model="").refusal(400, "invalid_value", "model")


def test_what_is_too_large_is_refused_unread(echo_server: Running) -> None:
    """By its announced length, so that no field can be named: a 413, as OpenAI has it."""
    with echo_server.client() as client, pytest.raises(openai.APIStatusError) as caught:
        client.images.edit(model="echo", prompt="a", image=("a.png", bytes(50_000_000)))
    refused = caught.value
    assert (refused.status_code, refused.code, refused.param) == (413, "request_too_large", None)


def test_methods_and_content_types(echo_server: Running, local: Local) -> None:
    for path in (GENERATIONS, EDITS, VARIATIONS):
        assert ask(echo_server.port, "GET", path).status == 405
    local.post(EDITS, {"prompt": "a"}).refusal(415, "unsupported_media_type", None)
    send(local, form(part("image", WHITE, "a")), EDITS, "multipart/form-data").refusal(
        415, "unsupported_media_type", None
    )
    send(local, form(part("prompt", "a")), GENERATIONS).refusal(415, "unsupported_media_type", None)
