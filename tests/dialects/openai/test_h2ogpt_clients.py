"""The clients of h2oGPT as they are written: the SDK, httpx and curl; the server has keys, accounts and an upstream."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.accounts.people import ALICE, BOB, basic
from tests.cli.terminal import here
from tests.conftest import Serve, servers
from tests.pictures import data_url, picture
from tests.running import Running
from tests.sounds import tone
from tests.upstream import Upstream, threaded

KEY = "sk-a-key-of-ours"
FOUND = 'upstreams = [{{ url = "{url}" }}]\noptions = {{ models = "*" }}'
MIRROR = "tests.dialects.openai.mirror:Mirror"
SAID: Any = [{"role": "user", "content": "one two three"}]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with threaded(models=("far",)) as fake:
        yield fake


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("h2ogpt")
    for user in (ALICE, BOB):
        name, _, password = user.partition(":")
        made = here("users", "add", name, "--file", str(folder / "accounts"), stdin=f"{password}\n")
        assert made.returncode == 0, made.stderr
    config = f"""
[server]
grace = 0.0
[accounts]
file = "{folder / "accounts"}"
[models.echo]
backend = "echo"
[models.far]
backend = "remote"
upstreams = [{{ url = "{upstream.base_url}" }}]
"""
    with servers(folder) as start:
        yield start(config, path="/health", OPENAI_PROXY_KEYS=KEY)


@pytest.fixture(scope="module")
def sdk(server: Running) -> Iterator[openai.OpenAI]:
    with server.client(api_key=KEY) as client:
        yield client


def test_the_sdk(sdk: openai.OpenAI) -> None:
    extra: dict[str, Any] = {"langchain_mode": "LLM", "top_k_docs": 4, "system_prompt": "auto", "max_time": 360}
    raw = sdk.chat.completions.with_raw_response.create(model="", messages=SAID, user=ALICE, extra_body=extra)
    assert raw.headers["x-h2ogpt-ignored"] == "top_k_docs"
    answer = raw.parse()
    assert (answer.model, answer.choices[0].message.content) == ("echo", "one two three")
    with sdk.chat.completions.create(model="", messages=SAID, user=BOB, extra_body=extra, stream=True) as chunks:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "one two three"
    text = sdk.completions.create(model="", prompt="a b", user=ALICE, extra_body=extra | {"max_new_tokens": 1})
    assert (text.choices[0].text, text.choices[0].finish_reason) == ("a", "length")


def test_sources_are_an_extra_field(sdk: openai.OpenAI) -> None:
    extra = {"text_context_list": ["The sky is green."], "langchain_action": "Query"}
    answer = sdk.chat.completions.create(model="", messages=SAID, user=ALICE, extra_body=extra)
    [source] = (answer.model_extra or {})["sources"]
    assert source == {"content": "The sky is green.", "score": 0.0, "source": "text_context"}
    with sdk.chat.completions.create(model="", messages=SAID, user=ALICE, extra_body=extra, stream=True) as chunks:
        assert (next(iter(chunks)).model_extra or {})["sources"] == [source]


@pytest.mark.parametrize(
    ("user", "code"), [("alice:wrong", "invalid_user"), ("nobody:builder!", "invalid_user"), (None, "missing_user")]
)
def test_who_is_no_user(sdk: openai.OpenAI, user: str | None, code: str) -> None:
    more: dict[str, Any] = {} if user is None else {"user": user}
    with pytest.raises(openai.AuthenticationError) as caught:
        sdk.chat.completions.create(model="", messages=SAID, **more)
    assert caught.value.code == code
    with pytest.raises(openai.AuthenticationError):
        sdk.models.list()


def test_what_has_no_body_is_asked_with_basic(server: Running) -> None:
    headers = {"Authorization": basic(ALICE), "X-API-KEY": KEY}
    with server.client(default_headers=headers) as client:
        assert next(iter(client.models.list())).id == "echo"
        made = client.files.create(file=("a.txt", b"mine"), purpose="assistants")
        assert [file.id for file in client.files.list()] == [made.id]
        assert client.files.content(made.id).read() == b"mine"
        listed = httpx2.get(f"{server.base_url}/files", headers=headers).json()
        assert listed["has_more"] is False
        with server.client(default_headers=headers | {"Authorization": basic(BOB)}) as other:
            assert list(other.files.list()) == []
            with pytest.raises(openai.NotFoundError):
                other.files.retrieve(made.id)
        client.files.delete(made.id)


def test_the_chat_of_this_house(server: Running) -> None:
    def says(*, user: str = "", key: str = KEY) -> Any:
        more = ("--base-url", server.base_url, "--model", "echo", "one two")
        return here("chat", *more, OPENAI_API_KEY=key, OPENAI_PROXY_USER=user)

    assert says(user=ALICE).stdout == "one two\n"
    assert "asks for an account: put name:password into the variable OPENAI_PROXY_USER" in says().stderr
    wrong = says(user="alice:wrong")
    assert "does not accept the account in OPENAI_PROXY_USER" in wrong.stderr
    assert "wrong" not in wrong.stderr
    assert "asks for an API key" in says(user=ALICE, key="").stderr
    assert "does not accept the API key" in says(user=ALICE, key="sk-wrong").stderr
    assert (says(user="alice").returncode, "name:password" in says(user="alice").stderr) == (2, True)
    listed = here("models", "--base-url", server.base_url, OPENAI_API_KEY=KEY, OPENAI_PROXY_USER=ALICE)
    assert listed.returncode == 0, listed.stderr


def test_two_users_of_one_key_do_not_see_each_others_jobs(server: Running) -> None:
    alice, bob = ({"Authorization": basic(user), "X-API-KEY": KEY} for user in (ALICE, BOB))
    body = {"version": "echo", "input": {"prompt": "mine"}}
    made = httpx2.post(f"{server.base_url}/predictions", json=body, headers=alice).json()
    at = f"{server.base_url}/predictions/{made['id']}"
    assert httpx2.get(at, headers=alice).status_code == 200
    assert httpx2.get(at, headers=bob).status_code == 404
    assert httpx2.get(at, headers={"X-API-KEY": KEY}).status_code == 401


def test_httpx(server: Running) -> None:
    data = {"model": "", "messages": SAID, "stream": True, "user": ALICE, "h2ogpt_key": KEY, "stream_output": True}
    with httpx2.stream("POST", f"{server.base_url}/chat/completions", json=data, timeout=30) as response:
        assert response.status_code == 200
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    assert "".join(json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines[:-1]) == "one two three"


def test_curl(server: Running) -> None:
    """In single quotes a shell leaves the variable's name where its value was meant: the header counts."""
    script = f"""curl -s {server.base_url}/chat/completions -H "Content-Type: application/json" \
-H "Authorization: Bearer $OPENAI_API_KEY" -d '{{
    "messages": [{{"role": "system", "content": "Be brief."}}, {{"role": "user", "content": "one two"}}],
    "h2ogpt_key": "$OPENAI_API_KEY", "user": "{ALICE}", "max_tokens": 200, "temperature": 0, "stream": false,
    "langchain_action": "Query", "system_prompt": null, "visible_models": null}}'"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env={"OPENAI_API_KEY": KEY})
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "one two", done


def test_the_streaming_transcription(server: Running) -> None:
    files = {"file": ("sound.wav", tone(12.0), "audio/wav")}
    data = {"model": "", "stream": "true", "response_format": "text", "chunk": "interval", "user": ALICE}
    headers = {"X-API-KEY": KEY}
    said: list[str] = []
    with httpx2.stream(
        "POST", f"{server.base_url}/audio/transcriptions", data=data, files=files, headers=headers, timeout=30
    ) as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line.startswith("data: "):
                said.append(json.loads(line[6:])["text"])
    assert len(said) == 2
    assert "".join(said).strip() == "en 0 to 5. en 5 to 10. en 10 to 12."


def test_bare_bytes_are_heard(sdk: openai.OpenAI) -> None:
    """Which the SDK calls "upload", of no type."""
    heard = sdk.audio.transcriptions.create(model="", file=tone(1.0), extra_body={"user": BOB})
    assert heard.text.strip() == "en 0 to 1."


def test_speech(sdk: openai.OpenAI) -> None:
    extra = {"stream": "true", "stream_strip": "true", "chatbot_role": "", "speaker": "SLT (female)", "user": ALICE}
    with sdk.audio.speech.with_streaming_response.create(
        model="", voice="", input="Hi. You.", extra_body=extra
    ) as said:
        assert said.headers["content-type"] == "audio/wav"
        assert b"".join(said.iter_bytes()).startswith(b"RIFF")


def test_pictures(sdk: openai.OpenAI) -> None:
    drawn = sdk.images.generate(model="", prompt="A house.", size="64x64", user=ALICE, extra_body={"seed": 1})
    assert drawn.data
    assert base64.b64decode(drawn.data[0].b64_json or "").startswith(b"\x89PNG")
    linked = sdk.images.generate(model="", prompt="A house.", size="64x64", user=ALICE, response_format="url")
    assert linked.data
    assert (linked.data[0].url or "").startswith("http://127.0.0.1:")
    url = str(data_url(picture()).encode())
    content: Any = [{"type": "text", "text": "What?"}, {"type": "image_url", "image_url": {"url": url}}]
    seen = sdk.chat.completions.create(model="", messages=[{"role": "user", "content": content}], user=ALICE)
    assert seen.choices[0].message.content == "What? image 60x40"


def test_vectors(sdk: openai.OpenAI) -> None:
    """A strict client takes no base64, of which it makes numbers only later."""
    vectors = sdk.embeddings.create(model="", input=["a", "b"], user=ALICE, encoding_format="float")
    assert len(vectors.data) == 2


def test_upstreams_see_no_secret(sdk: openai.OpenAI, upstream: Upstream) -> None:
    extra = {"h2ogpt_key": "sk-some-other-key", "min_p": 0.1}
    sdk.chat.completions.create(model="far", messages=SAID, user=ALICE, extra_body=extra)
    sdk.chat.completions.create(model="far", messages=SAID, user=ALICE, extra_body=extra | {"chunk": True}, stream=True)
    key = {"h2ogpt_key": "sk-some-other-key"}
    sdk.embeddings.create(model="far", input="a", user=ALICE, encoding_format="float", extra_body=key)
    seen = [each for each in upstream.seen().last if each.method == "POST"]
    assert len(seen) == 3
    assert not [each for each in seen if "wonder" in each.body or "sk-" in each.body or "user" in each.json]
    assert [each.json.get("min_p") for each in seen] == [0.1, 0.1, None]


@pytest.mark.parametrize("table", ['upstreams = [{{ url = "{url}", model = "deaf" }}]', FOUND])
def test_what_a_model_behind_another_server_lacks_is_named(serve: Serve, table: str) -> None:
    deaf = f'[models.deaf]\nbackend = "{MIRROR}"\noptions = {{ deaf = true }}\n'
    near = f'[models.near]\nbackend = "remote"\n{table.format(url=serve(deaf).base_url)}\n'
    name = "deaf" if table is FOUND else "near"
    keys = {"stop_token_ids": [1], "min_new_tokens": 2, "top_k": 3, "chunk": True}
    with serve(near).client() as client:
        for stream in (False, True):
            raw = client.chat.completions.with_raw_response.create(
                model=name, messages=SAID, extra_body=keys, stream=stream
            )
            assert raw.status_code == 200
            assert raw.headers["x-h2ogpt-ignored"] == "chunk,min_new_tokens,stop_token_ids,top_k"


def test_an_upstream_is_left_when_time_is_over(sdk: openai.OpenAI, upstream: Upstream) -> None:
    upstream.script(delay=0.2, chunks=100)
    answer = sdk.chat.completions.create(model="far", messages=SAID, user=ALICE, extra_body={"max_time": 0.5})
    assert answer.choices[0].finish_reason == "length"
    [*_, chat] = [each for each in upstream.seen().last if each.method == "POST"]
    assert "max_time" not in chat.json
    upstream.reset()


def test_nothing_secret_is_logged(server: Running) -> None:
    log = Path(server.log).read_text()
    assert '"user:alice"' in log
    assert "wonder" not in log
    assert "builder" not in log
    assert KEY not in log
