"""How much one may hand in, and how much of it may wait."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from openai_proxy.documents import MY, USER
from openai_proxy.documents.documents import Documents
from openai_proxy.documents.room import Room
from openai_proxy.errors import BadDocument, QueueFull, RequestTooLarge, TooManyItems
from tests.documents.keeping import ANN, BOB, TEXT, with_documents
from tests.documents.library import LAKE, data


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"count": 2}, "You have 2 documents"),
        ({"total_bytes": 2 * len(TEXT)}, "they would have more than"),
        ({"total_characters": 106}, "they would have more than 106"),
    ],
)
def test_what_one_may_have(tmp_path: Path, setting: dict[str, int], message: str) -> None:
    async def work(kept: Documents) -> None:
        first = await kept.add(ANN, MY, "a.txt", TEXT)
        await kept.add(ANN, USER, "b.txt", TEXT)
        with pytest.raises((TooManyItems, BadDocument), match=message):
            await kept.add(ANN, MY, "c.txt", TEXT)
        await kept.add(BOB, MY, "a.txt", TEXT)
        for each in await kept.documents(ANN, MY):
            await kept.delete(ANN, MY, each.id)
        assert (await kept.add(ANN, MY, "c.txt", TEXT)).id != first.id

    with_documents(tmp_path, work, **setting)


def test_no_vectors_are_made_of_what_is_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(kept: Documents) -> None:
        monkeypatch.setattr(kept.vectors, "of", None)
        with pytest.raises(BadDocument, match="they would have more than 20"):
            await kept.add(ANN, MY, "a.txt", TEXT)

    with_documents(tmp_path, work, total_characters=20)


def test_collections_have_a_limit(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        await kept.create(ANN, "one")
        await kept.create(ANN, "two")
        with pytest.raises(TooManyItems, match="2 collections"):
            await kept.create(ANN, "three")
        await kept.create(BOB, "one")

    with_documents(tmp_path, work, collections=2)


def test_one_document_has_limits(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        await kept.add(ANN, MY, "a.txt", b"x" * 60)
        with pytest.raises(RequestTooLarge, match="at most 8000 bytes"):
            await kept.add(ANN, MY, "a.txt", b"x" * 8001)
        with pytest.raises(BadDocument, match="more than 60 characters"):
            await kept.add(ANN, MY, "a.txt", b"x" * 61)
        with pytest.raises(BadDocument, match="has 3 pages; at most 2"):
            await kept.add(ANN, MY, "a.pdf", data(LAKE))
        [*failed, ready] = await kept.documents(ANN, MY)
        assert ([each.state for each in failed], ready.state) == (["failed", "failed"], "ready")
        assert failed[0].code == "invalid_file"

    with_documents(tmp_path, work, document_bytes=8000, characters=60, pages=2)


def test_documents_that_wait_have_a_limit(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        await kept.begin(ANN, MY, "a.txt", TEXT, id="one")
        with pytest.raises(QueueFull, match="Too many documents wait"):
            await kept.begin(BOB, MY, "b.txt", TEXT)
        with pytest.raises(QueueFull, match="Too many of your documents wait"):
            await kept.begin(ANN, MY, "b.txt", b"x")
        while kept._tasks:
            await asyncio.sleep(0.01)
        assert (await kept.add(BOB, MY, "b.txt", TEXT)).state == "ready"

    with_documents(tmp_path, work, waiting_bytes=2 * len(TEXT) - 1)


def test_nobody_lets_so_many_wait_that_there_is_no_room_for_others() -> None:
    room = Room()
    room.take(ANN, 3, 12)
    room.take(ANN, 3, 12)
    with pytest.raises(QueueFull):
        room.take(ANN, 1, 12)
    room.take(BOB, 3, 12)
    with pytest.raises(QueueFull):
        room.take(BOB, 1, 12)
    room.give_back(ANN, 3)
    room.take(BOB, 1, 12)
    with pytest.raises(QueueFull):
        room.take("eve", 6, 12)
    room.take("eve", 5, 12)
