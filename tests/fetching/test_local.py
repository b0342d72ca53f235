"""file: addresses: what lies below the folder by name and in truth, and nothing else."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from openai_proxy.config import Limits, Media
from openai_proxy.errors import UrlNotAllowed
from tests.fetching.fetching import PNG, REFUSAL, Told, fetcher, got


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures, and everything that is none."""
    folder = tmp_path / "pictures"
    (folder / "deep").mkdir(parents=True)
    for name in ("a b.png", "deep/c.png", "ü.png"):
        (folder / name).write_bytes(PNG)
    (tmp_path / "secret.png").write_bytes(PNG)
    (folder / "text.png").write_text("root:x:0:0:")
    (folder / "empty.png").touch()
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "in.png").symlink_to(folder / "a b.png")
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.png")
    (tmp_path / "pictures-too").mkdir()
    (tmp_path / "pictures-too" / "a.png").write_bytes(PNG)
    (tmp_path / "link").symlink_to(folder)
    return folder


def read(folder: Path, path: str, told: Told | None = None, **limits: int) -> bytes:
    media = Media(local_dir=str(folder))
    return asyncio.run(got(fetcher(media, told=told, limits=Limits(**limits)), f"file://{path}"))


def test_files_of_the_folder(folder: Path) -> None:
    for name in ("a%20b.png", "deep/c.png", "%C3%BC.png"):
        assert read(folder, f"{folder}/{name}") == PNG
    assert read(folder, f"localhost{folder}/deep/c.png") == PNG
    link = folder.parent / "link"
    assert read(link, f"{link}/deep/c.png") == PNG
    assert read(link, f"{folder}/deep/c.png") == PNG


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *(("../secret.png", "blocked"), ("deep/../a%20b.png", "blocked"), ("./a%20b.png", "blocked")),
        *(
            ("%2e%2e/secret.png", "blocked"),
            ("deep//c.png", "blocked"),
            ("", "blocked"),
            ("..%2fsecret.png", "blocked"),
        ),
        *(("../pictures-too/a.png", "blocked"), ("-too/a.png", "refused"), ("up/secret.png", "refused")),
        *(("out.png", "refused"), ("in.png", "refused"), ("none.png", "refused"), ("a%20b.png/x", "refused")),
        *(("pipe.png", "blocked"), ("deep", "refused"), ("text.png", "other_content"), ("empty.png", "other_content")),
    ],
)
def test_everything_else(folder: Path, name: str, reason: str) -> None:
    told = Told()
    with pytest.raises(UrlNotAllowed, match=REFUSAL):
        read(folder, f"{folder}/{name}", told)
    assert told.outcomes == [reason]


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/self/environ", "/dev/zero", "/"])
def test_the_rest_of_the_machine(folder: Path, path: str) -> None:
    with pytest.raises(UrlNotAllowed, match=REFUSAL):
        read(folder, path)


def test_a_folder_that_begins_alike(folder: Path) -> None:
    with pytest.raises(UrlNotAllowed, match=REFUSAL):
        read(folder, f"{folder}-too/a.png")


def test_the_largest_file(folder: Path) -> None:
    assert read(folder, f"{folder}/deep/c.png", fetched_bytes=len(PNG)) == PNG
    told = Told()
    with pytest.raises(UrlNotAllowed, match=REFUSAL):
        read(folder, f"{folder}/deep/c.png", told, fetched_bytes=len(PNG) - 1)
    assert told.outcomes == ["too_large"]


def test_no_folder_no_files(folder: Path) -> None:
    for media in (Media(), Media(fetch=True)):
        with pytest.raises(UrlNotAllowed, match="files of this machine are not read"):
            asyncio.run(got(fetcher(media), f"file://{folder}/deep/c.png"))
    with pytest.raises(UrlNotAllowed, match="not enabled"):
        asyncio.run(got(fetcher(Media(local_dir=str(folder))), "https://a.example/"))
