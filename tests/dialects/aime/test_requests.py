"""Requests of each kind: what is taken, what comes of it, and what is refused."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
import requests
from PIL import Image

from openai_proxy import __version__
from tests.dialects.aime.calling import Aime, Json, refusal
from tests.running import Running
from tests.sounds import tone

STATISTICS = {"compute_duration", "total_duration", "auth", "worker_interface_version"}
BEGUN = {"success", "job_id", "ep_version"}
TEXT = {"text", "num_generated_tokens", "prompt_length", "current_context_length", "max_seq_len", "model_name"}
SAID = {"seed", "prompt"}
CONTEXT = [
    {"role": "system", "content": "Be kind."},
    {"role": "user", "content": "Hi! How are you?"},
    {"role": "assistant", "content": "I'm well."},
]


def chat(server: Running) -> Aime:
    return Aime(server, "llama2_chat")


def picture(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


def red(size: tuple[int, int] = (64, 64), kind: str = "JPEG") -> str:
    """A picture as the Python client writes bytes."""
    file = io.BytesIO()
    Image.new("RGB", size, (255, 0, 0)).save(file, kind)
    return f"data:image/JPEG;base64,{base64.b64encode(file.getvalue()).decode()}"


def test_a_chat_is_answered(server: Running) -> None:
    found = chat(server).ask(
        prompt_input="Tell me a joke",
        chat_context=json.dumps(CONTEXT),
        top_k=40,
        top_p=0.9,
        temperature=0.8,
        max_gen_tokens=1000,
    )
    assert found.keys() == BEGUN | TEXT | SAID | STATISTICS
    assert (found["success"], found["ep_version"]) == (True, 3)
    assert (found["text"], found["prompt"]) == ("Tell me a joke", "Tell me a joke")
    assert (found["num_generated_tokens"], found["prompt_length"]) == (4, 12)
    assert found["current_context_length"] == 16
    assert found["model_name"] == "Org/Echo-1.5"
    assert (found["auth"], found["worker_interface_version"]) == ("echo_cpu_0", f"openai-proxy {__version__}")
    assert 0 <= found["compute_duration"] <= found["total_duration"] < 20
    assert 0 <= found["seed"] < 2**31


@pytest.mark.parametrize("name", ["prompt", "prompt_input", "text"])
def test_the_prompt_has_three_names(server: Running, name: str) -> None:
    assert chat(server).ask(**{name: "hello"})["text"] == "hello"


def test_a_conversation_may_end_in_its_context(server: Running) -> None:
    client = chat(server)
    assert client.ask(chat_context=CONTEXT[:2])["text"] == "Hi! How are you?"
    parts = [{"role": "user", "content": [{"text": "What is"}, {"type": "text", "text": "this?"}, {"image": red()}]}]
    assert client.ask(chat_context=parts)["text"].startswith("What is this? image 64x64")


def test_parameters_come_in_a_query_json_or_a_form(server: Running) -> None:
    url, params = f"{server.url}/llama2_chat", {"prompt": "one two three four", "max_gen_tokens": "2", "seed": "7"}
    answers = [
        requests.get(url, params=params, timeout=30),
        requests.post(url, data=params, timeout=30),
        requests.post(url, files={name: (None, value) for name, value in params.items()}, timeout=30),
        requests.post(url, json=params, timeout=30),
        requests.post(url, json={"max_gen_tokens": 2}, params={**params, "max_gen_tokens": "3"}, timeout=30),
    ]
    for answer in answers:
        found = answer.json()
        assert answer.status_code == 200, found
        assert (found["text"], found["seed"]) == ("one two", 7)


@pytest.mark.parametrize("flag", ["False", "false", "0", 0, False])
def test_false_has_many_spellings(server: Running, flag: Any) -> None:
    client = chat(server)
    assert client.post("/llama2_chat", {"prompt": "hello", "wait_for_result": flag}).json().keys() == BEGUN
    assert client.get("/llama2_chat", prompt="hello", wait_for_result=flag).json().keys() == BEGUN


@pytest.mark.parametrize("flag", ["True", "true", "1", 1, True])
def test_so_has_true(server: Running, flag: Any) -> None:
    assert chat(server).get("/llama2_chat", prompt="hello", wait_for_result=flag).json()["text"] == "hello"


def test_sampling_reaches_the_engine(server: Running) -> None:
    client = Aime(server, "writer")
    found = client.ask(prompt="one two three four", max_gen_tokens=3, seed=11)
    assert found.keys() == BEGUN | TEXT | SAID | STATISTICS
    assert (found["text"], found["seed"], found["ep_version"]) == ("one two three", 11, 1)
    # The default may be sent to any model, as AIME's own pages do; another value only where it has an effect.
    assert client.ask(prompt="one", top_k=40)["text"] == "one"
    assert refusal(client.send(True, prompt="one", top_k=41)) == (400, ["This model does not support top_k."])


def test_a_random_seed_is_told_and_repeats(server: Running) -> None:
    client = Aime(server, "painter")
    first = client.ask(prompt="dog", width=64, seed=-1)
    assert client.ask(prompt="dog", width=64, seed=first["seed"])["images"] == first["images"]
    assert client.ask(prompt="dog", width=64)["seed"] != first["seed"]


def test_pictures_are_drawn(server: Running) -> None:
    client = Aime(server, "painter")
    found = client.ask(prompt="dog", height=64, width=64, num_samples=2, steps=3, guidance=7.5, negative_prompt="cat")
    assert found.keys() == BEGUN | {"images"} | SAID | STATISTICS
    assert [image.partition(",")[0] for image in found["images"]] == ["data:image/JPEG;base64"] * 2
    assert [(picture(image).format, picture(image).size) for image in found["images"]] == [("JPEG", (64, 64))] * 2
    png = client.ask(prompt="dog", output_format="PNG")["images"][0]
    assert (png.partition(",")[0], picture(png).format) == ("data:image/PNG;base64", "PNG")


@pytest.mark.parametrize("more", [{"steps": 4}, {"guidance": 2.0}, {"negative_prompt": "x"}, {"prompt": "b"}])
def test_what_says_how_to_draw_has_an_effect(server: Running, more: Json) -> None:
    client, plain = Aime(server, "painter"), {"prompt": "a", "width": 64, "seed": 5, "output_format": "png"}
    assert client.ask(**plain)["images"] == client.ask(**plain)["images"]
    assert client.ask(**{**plain, **more})["images"] != client.ask(**plain)["images"]


def test_a_picture_is_changed(server: Running) -> None:
    client = Aime(server, "painter")
    asked = {"prompt": "cat", "seed": 1, "output_format": "png"}
    little = picture(client.ask(image=red(), image2image_strength=0.0, **asked)["images"][0])
    assert little.size == (64, 64)
    pixel = little.convert("RGB").getpixel((9, 9))
    assert isinstance(pixel, tuple)
    assert pixel[0] > 250
    much = picture(client.ask(image=red(), image2image_strength=1.0, **asked)["images"][0])
    assert much.convert("RGB").getpixel((9, 9)) != pixel
    data = base64.b64decode(red().partition(",")[2])
    answer = requests.post(
        f"{server.url}/painter", data={"prompt": "cat"}, files={"image": ("a.jpg", data)}, timeout=30
    )
    assert picture(answer.json()["images"][0]).size == (64, 64)


def test_speech_is_made(server: Running) -> None:
    client = Aime(server, "speaker")
    found = client.ask(text="Hello there.", output_format="wav")
    assert found.keys() == BEGUN | {"audio_output"} | SAID | STATISTICS
    head, _, data = found["audio_output"].partition(",")
    assert (head, base64.b64decode(data)[:4]) == ("data:audio/wav;base64", b"RIFF")
    assert (found["prompt"], found["seed"]) == ("Hello there.", -1)
    mp3 = client.ask(prompt="Hello there.", output_format="mp3", temperature=0.8)["audio_output"]
    assert mp3.startswith("data:audio/mpeg;base64,")


def test_speech_is_written_down(server: Running) -> None:
    client, sound = Aime(server, "listener"), base64.b64encode(tone(1.0)).decode()
    whole = client.ask(audio=f"data:audio/WAV;base64,{sound}", language="eng")
    assert whole.keys() == BEGUN | {"text"} | SAID | STATISTICS
    assert whole["text"]
    files = {"audio": ("a.wav", tone(1.0))}
    assert requests.post(f"{server.url}/listener", files=files, timeout=30).json()["text"] == whole["text"]


@pytest.mark.parametrize(("text", "count"), [("one", 1), (["one", "two"], 2)])
def test_texts_are_embedded(server: Running, text: Any, count: int) -> None:
    found = Aime(server, "vectors").ask(text=text)
    assert found.keys() == BEGUN | {"embeddings"} | SAID | STATISTICS
    assert len(found["embeddings"]) == count
    assert all(isinstance(number, float) for vector in found["embeddings"] for number in vector)
    assert Aime(server, "vectors").ask(prompt=text)["embeddings"] == found["embeddings"]


WRONG: list[tuple[str, Json, Any]] = [
    ("llama2_chat", {}, ["Missing required argument: prompt"]),
    ("llama2_chat", {"prompt": ""}, ["Missing required argument: prompt"]),
    ("llama2_chat", {"prompt": "x", "a": 1, "b": 2}, ["Invalid input parameter(s): a, b"]),
    ("llama2_chat", {"prompt": 5}, ["Invalid argument type prompt. Expected: string but got int!"]),
    ("llama2_chat", {"prompt": "x", "chat_context": "["}, ["Input parameter chat_context has invalid json format!"]),
    ("llama2_chat", {"prompt": "x", "top_k": 0}, ["Parameter top_k = 0 is too low. Minimum supported value is 1!"]),
    (
        "llama2_chat",
        {"prompt": "x", "temperature": 3, "top_p": "a"},
        [
            "Invalid argument type top_p. Expected: float but got str!",
            "Parameter temperature = 3.0 is too high. Maximum supported value is 2!",
        ],
    ),
    ("llama2_chat", {"prompt": "x", "seed": 1.5}, ["Invalid argument type seed. Expected: integer but got float!"]),
    ("llama2_chat", {"prompt": "x", "max_gen_tokens": True}, None),
    ("llama2_chat", {"prompt": "x", "wait_for_result": "maybe"}, None),
    ("llama2_chat", {"prompt": "x", "chat_context": {"role": "user"}}, None),
    ("llama2_chat", {"prompt": "x", "chat_context": [{"role": "user"}]}, None),
    ("llama2_chat", {"prompt": "x", "chat_context": [{"role": "robot", "content": "y"}]}, None),
    ("llama2_chat", {"prompt": "x", "chat_context": [{"role": "user", "content": 5}]}, None),
    ("writer", {"text": "x"}, ["Invalid input parameter(s): text", "Missing required argument: prompt"]),
    ("painter", {"prompt": "x", "width": 20}, None),
    ("painter", {"prompt": "x", "image": "data:image/png,abc"}, ["image must be a data URI with base64."]),
    ("painter", {"prompt": "x", "image": "?"}, ["image is not base64."]),
    ("painter", {"prompt": "x", "image2image_strength": 0.5}, None),
    ("painter", {"prompt": "x", "num_samples": 11}, None),
    ("painter", {"prompt": "x", "output_format": "gif"}, None),
    ("speaker", {"text": "x", "temperature": 0.1}, ["This model does not support temperature."]),
    ("speaker", {"text": "x", "seed": 3}, ["This model does not support seed."]),
    ("speaker", {"text": "x", "voice": "nobody"}, None),
    ("speaker", {}, ["Missing required argument: text"]),
    ("listener", {}, ["Missing required argument: audio"]),
    ("listener", {"audio": "AAAA"}, None),
    ("vectors", {"text": [1]}, ["Invalid argument type text. Expected: text but got list!"]),
    ("vectors", {"text": []}, ["Missing required argument: text"]),
]


@pytest.mark.parametrize(("endpoint", "params", "error"), WRONG)
def test_what_is_wrong_is_listed(server: Running, endpoint: str, params: Json, error: Any) -> None:
    status, told = refusal(Aime(server, endpoint).post(f"/{endpoint}", params))
    assert status == 400
    assert isinstance(told, list)
    if error is not None:
        assert sorted(told) == sorted(error)


def test_errors_use_the_names_that_clients_know(server: Running) -> None:
    _, [told] = refusal(Aime(server, "painter").send(True, prompt="x", width=20, height=30))
    assert told.startswith("width and height: this model draws")
    _, [told] = refusal(Aime(server, "listener").send(True, audio="AAAA"))
    assert told.startswith("audio ")


BODIES: list[tuple[bytes, str, int]] = [
    (b"{", "application/json", 400),
    (b"[]", "application/json", 400),
    (b'{"prompt": "a", "prompt": "b"}', "application/json", 400),
    (b'{"prompt": ' + b"[" * 70 + b"]" * 70 + b"}", "application/json", 400),
    (b'{"prompt": "\\ud800"}', "application/json", 400),
    (b"{" + b",".join(b'"a%d":1' % number for number in range(200)) + b"}", "application/json", 400),
    (b"&".join(b"a%d=1" % number for number in range(200)), "application/x-www-form-urlencoded", 400),
    (b"prompt=%ff", "application/x-www-form-urlencoded", 400),
    (b"--", "multipart/form-data", 400),
    (b"x", "multipart/form-data; boundary=a", 400),
    (b"hello", "text/plain", 415),
]


@pytest.mark.parametrize(("body", "kind", "status"), BODIES)
def test_bodies_that_cannot_be_read(server: Running, body: bytes, kind: str, status: int) -> None:
    headers = {"content-type": kind}
    assert refusal(requests.post(f"{server.url}/llama2_chat", body, headers=headers, timeout=30))[0] == status


def test_a_body_of_many_names_is_refused_soon(server: Running) -> None:
    body = b"{ " + b",".join(b'"%d":1' % number for number in range(200_000)) + b"}"
    answer = requests.post(f"{server.url}/llama2_chat", body, headers={"content-type": "application/json"}, timeout=30)
    assert refusal(answer)[0] == 400
    assert answer.elapsed.total_seconds() < 5


def test_what_fails_while_its_client_waits_is_an_error(server: Running) -> None:
    status, told = refusal(Aime(server, "broken").send(True, prompt="one two three four"))
    assert status == 500
    assert isinstance(told, str)


@pytest.mark.parametrize(
    ("site", "status"), [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)]
)
def test_pages_of_other_sites_start_nothing(server: Running, site: str, status: int) -> None:
    url, headers = f"{server.url}/llama2_chat?prompt=hello", {"sec-fetch-site": site}
    assert requests.get(url, headers=headers, timeout=30).status_code == status


def test_scripts_of_other_sites_in_older_browsers_start_nothing(server: Running) -> None:
    url, headers = f"{server.url}/llama2_chat?prompt=hello", {"origin": "http://elsewhere.example"}
    assert requests.get(url, headers=headers, timeout=30).status_code == 403


@pytest.mark.parametrize("path", ["/llama2_chat?prompt=x", "/login", "/llama2_chat/login", "/llama2_chat/progress"])
def test_head_starts_nothing(server: Running, path: str) -> None:
    assert requests.head(server.url + path, timeout=30).status_code == 405


def test_endpoints_that_are_not_there(server: Running) -> None:
    client = Aime(server, "nothing")
    missing = (404, "There is no endpoint nothing.")
    assert refusal(client.get("/nothing/login")) == missing
    assert refusal(client.progress("x")) == missing
    assert refusal(client.get("/api/endpoints/nothing")) == missing
    assert refusal(client.get("/login", endpoint_name="nothing")) == missing
    # These are no paths of this protocol's.
    for path in ("/nothing", "/api/nothing", "/org_echo-1_5"):
        assert client.get(path).json()["error"]["code"] == "not_found"
        assert client.post(path, {"prompt": "x"}).json()["error"]["code"] == "not_found"
    assert client.post("/health", {}).json()["error"]["code"] == "method_not_allowed"
    assert client.post("/docs", {}).status_code == 405
