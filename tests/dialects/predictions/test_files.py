"""Files for requests to come: of both protocols' clients, in one place."""

from __future__ import annotations

import asyncio
import io
import json
import time
from pathlib import Path
from typing import Any

import openai
import pytest
import requests

from openai_proxy.config import Config, Limits, Timeouts
from openai_proxy.errors import RequestTooLarge
from openai_proxy.jobs import uploads
from openai_proxy.jobs.uploads import Uploads
from tests.dialects.predictions.calls import PREDICTIONS, get, post, refusal, run
from tests.pictures import picture
from tests.running import Running


def put(server: Running, data: bytes = b"abc", part: str = "content", **fields: Any) -> requests.Response:
    files = {part: ("../a b.png", io.BytesIO(data), "image/png")}
    return requests.post(f"{server.url}/v1/files", files=files, data=fields, timeout=20)


def test_replicates_clients_hand_in_content(predicting: Running) -> None:
    answer = put(predicting, metadata='{"a": 1}')
    told = answer.json()
    assert answer.status_code == 201
    assert (told["name"], told["content_type"], told["size"]) == ("..ab.png", "image/png", 3)
    assert told["checksums"]["sha256"] == told["etag"]
    assert (told["metadata"], told["urls"]["get"]) == ({"a": 1}, f"{predicting.url}/v1/files/{told['id']}")
    assert get(predicting, told["urls"]["get"]).json == told
    assert told in get(predicting, "/v1/files").json["results"]
    gone = requests.delete(told["urls"]["get"], timeout=20)
    assert (gone.status_code, gone.content) == (204, b"")
    assert requests.delete(told["urls"]["get"], timeout=20).json()["detail"]


def test_openais_clients_hand_in_a_file(predicting: Running) -> None:
    with predicting.client() as client:
        made = client.files.create(
            file=("a.txt", b"abc"), purpose="user_data", expires_after={"anchor": "created_at", "seconds": 3600}
        )
        assert (made.filename, made.bytes, made.purpose, made.status) == ("a.txt", 3, "user_data", "processed")
        assert 3590 <= (made.expires_at or 0) - time.time() <= 3600
        assert made.id.startswith("file-")
        assert client.files.retrieve(made.id) == made
        assert made in list(client.files.list(purpose="user_data"))
        assert list(client.files.list(purpose="batch")) == []
        content = client.files.content(made.id)
        assert (content.read(), content.response.headers["x-content-type-options"]) == (b"abc", "nosniff")
        assert client.files.delete(made.id).deleted
        with pytest.raises(openai.NotFoundError):
            client.files.content(made.id)


@pytest.mark.parametrize(
    ("part", "fields"),
    [
        ("file", {}),
        ("content", {"metadata": "a"}),
        ("content", {"metadata": "[]"}),
        ("other", {}),
        ("content", {"x": "a"}),
    ],
)
def test_forms_that_are_refused(predicting: Running, part: str, fields: dict[str, str]) -> None:
    answer = put(predicting, b"abc", part, **fields)
    told = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
    assert told["error"]["message"] == told["detail"]
    assert (told["status"], told["title"]) == (400, "Bad Request")


def test_a_file_can_be_an_input(predicting: Running) -> None:
    url = put(predicting, picture(size=(64, 64))).json()["urls"]["get"]
    assert run(predicting, "echo", prompt="a", width=64, image=url)["status"] == "succeeded"
    assert "".join(run(predicting, "echo", prompt="p", image=url)["output"]) == "image 64x64 p"
    other = f"{predicting.url}/v1/files/{'0' * 32}"
    body: dict[str, Any] = {"version": "echo", "input": {"audio": other}}
    assert "expired" in refusal(post(predicting, PREDICTIONS, body), 422, "input.audio")["detail"]


async def filled(held: Uploads, size: int, owner: str = "a") -> str:
    upload = await held.put(b"x" * size, owner=owner, name="n", media_type="text/plain")
    return upload.id


async def kept(folder: Path) -> None:
    config = Config(limits=Limits(stored_files=100), timeouts=Timeouts(stored_file=0.5))
    held = Uploads(str(folder), lambda: config)
    first, second, third = [await filled(held, 40) for _ in range(3)]
    assert await held.find(first, "a") is None
    assert await Uploads(str(folder), lambda: config).read(second, "a") == b"x" * 40
    assert [each.id for each in await held.of("a")] == [third, second]
    assert await held.find(second, "b") is None
    assert await held.of("b") == []
    with pytest.raises(RequestTooLarge):
        await filled(held, 101)
    await asyncio.sleep(0.5)
    assert await held.of("a") == []
    assert await held.find(third, "a") is None
    await filled(held, 1)
    assert len(list((folder / "uploads").iterdir())) == 2
    assert await held.find("../../etc/passwd", "a") is None


def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    asyncio.run(kept(tmp_path))


async def crowded(folder: Path) -> None:
    held = Uploads(str(folder), lambda: Config(limits=Limits(stored_files=100)))
    theirs = [await filled(held, 20, "b") for _ in range(2)]
    mine = [await filled(held, 20) for _ in range(4)]
    assert [each.id for each in await held.of("a")] == mine[:0:-1]
    assert [each.id for each in await held.of("b")] == theirs[::-1]
    with pytest.raises(RequestTooLarge):
        await filled(held, 61)
    assert len(await held.of("a")) == 3
    # Who has more than a half loses it to who has less.
    await filled(held, 30, "b")
    assert (len(await held.of("a")), len(await held.of("b"))) == (2, 2)


def test_nobody_loses_files_to_who_has_more(tmp_path: Path) -> None:
    asyncio.run(crowded(tmp_path))


async def many(folder: Path) -> None:
    held = Uploads(str(folder), Config)
    ids = [await filled(held, 0) for _ in range(5)]
    assert [each.id for each in await held.of("a")] == ids[:1:-1]


def test_empty_files_are_forgotten_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "MOST", 3)
    asyncio.run(many(tmp_path))


async def half(folder: Path) -> None:
    held = Uploads(str(folder), Config)
    id = await filled(held, 1)
    whole = folder / "uploads" / f"{id}.json"
    (folder / "uploads" / f"file-{'0' * 32}.json").write_bytes(whole.read_bytes()[:20])
    later = Uploads(str(folder), Config)
    assert [each.id for each in await later.of("a")] == [id]
    await filled(later, 1)
    assert len(await later.of("a")) == 2


def test_what_is_just_being_written_is_not_there_yet(tmp_path: Path) -> None:
    asyncio.run(half(tmp_path))


def test_metadata_is_short(predicting: Running) -> None:
    text = json.dumps({"a": "x" * 4087})
    assert len(text) == 4096
    assert put(predicting, metadata=text).status_code == 201
    assert put(predicting, metadata=text + " ").json()["error"]["param"] == "metadata"
