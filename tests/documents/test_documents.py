"""Collections of documents: kept, found again, deleted, and never seen by others."""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from openai_proxy.documents import MY, USER, documents, papers, shelves
from openai_proxy.documents.connections import Database
from openai_proxy.documents.documents import Documents
from openai_proxy.documents.finding import fused
from openai_proxy.errors import (
    CollectionNotFound,
    DocumentNotFound,
    Forbidden,
    InvalidRequest,
    NotInstalled,
    WrongState,
)
from tests.documents.keeping import ANN, BOB, TEXT, found, with_documents
from tests.documents.library import LAKE, data


def test_what_is_handed_in_is_found_also_by_a_later_process(tmp_path: Path) -> None:
    async def hand_in(kept: Documents) -> None:
        document = await kept.add(ANN, MY, "../secret/a.txt", TEXT)
        assert (document.name, document.state, document.media_type) == ("a.txt", "ready", "text/plain")
        assert (document.passages, document.characters, document.size) == (1, 53, len(TEXT))
        whole = await kept.add(ANN, MY, "lake.txt", data(LAKE))
        assert (whole.media_type, whole.pages) == ("application/pdf", 3)

    async def look(kept: Documents) -> None:
        [passage] = await found(kept, ANN, MY, "kumquat")
        assert (passage.source, passage.page) == ("a.txt", None)
        assert 0 <= passage.score <= 1
        [passage] = await found(kept, ANN, MY, "krypton")
        assert (passage.source, passage.page) == ("lake.txt", 2)
        texts = await kept.passages(ANN, [MY])
        assert texts[0].text.startswith("The word kumquat")
        assert [each.source for each in texts] == ["a.txt", *["lake.txt"] * (len(texts) - 1)]
        assert (await kept.passages(ANN, [MY], document=texts[0].document)) == texts[:1]

    with_documents(tmp_path, hand_in)
    with_documents(tmp_path, look)


def test_what_a_session_hands_in_is_its_own_as_long_as_it_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(documents, "BEATS", 0.01)

    async def work(kept: Documents) -> None:
        passing = shelves.passing("one")
        assert await kept.within(ANN, "one", [MY, USER]) == [MY, USER]
        await kept.add(ANN, passing, "a.txt", TEXT)
        assert await kept.within(ANN, "one", [MY, USER]) == [passing, USER]
        assert await kept.within(ANN, "two", [MY]) == [MY]
        assert await kept.within(BOB, "one", [MY]) == [MY]
        assert [each.id for each in await kept.collections(ANN)] == [MY, USER]
        [passage] = await found(kept, ANN, passing, "kumquat")
        assert passage.source == "a.txt"
        await kept.add(ANN, MY, "b.txt", TEXT)
        await asyncio.sleep(0.05)
        assert len(await kept.documents(ANN, passing)) == 1
        monkeypatch.setattr(shelves, "LEFT", -60.0)
        async with asyncio.timeout(15):
            while await kept.documents(ANN, passing):
                await asyncio.sleep(0.02)
        assert await kept.within(ANN, "one", [MY]) == [MY]
        assert len(await kept.documents(ANN, MY)) == 1

    with_documents(tmp_path, work)


def test_what_a_session_hands_in_stays_as_long_as_it_is_added_to_or_read(tmp_path: Path) -> None:
    passing = shelves.passing("one")

    def aged(database: Database) -> None:
        database.execute("UPDATE collection SET used = 0")

    async def survives(kept: Documents) -> bool:
        await kept._write(shelves.forget_left)
        return bool(await kept.documents(ANN, passing))

    async def work(kept: Documents) -> None:
        await kept.add(ANN, passing, "a.txt", TEXT)
        await kept.create(ANN, "one of one that lasts")
        await kept._write(aged)
        await kept.passages(ANN, [passing])
        assert await survives(kept)
        await kept._write(aged)
        await kept.add(ANN, passing, "b.txt", TEXT)
        assert await survives(kept)
        await kept._write(aged)
        assert not await survives(kept)

    with_documents(tmp_path, work, collections=1)


def test_a_text_is_found_by_its_vector_alone(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        for number in range(20):
            await kept.add(ANN, MY, f"{number}.txt", f"Sentence {number}.".encode())
        [passage] = await kept.search(ANN, [MY], "Sentence 7.", 1, by_words=False)
        assert passage.text == "Sentence 7."
        assert passage.score == pytest.approx(1.0)

    with_documents(tmp_path, work)


def test_ways_are_fused_by_their_ranks() -> None:
    assert fused([[1, 2, 3], [3, 4]]) == [3, 1, 2, 4]
    assert fused([[], []]) == []


@pytest.mark.parametrize("query", ['"', "a OR", "NEAR(", "c1", "text : x", "* ^", "'; DROP TABLE passage; --", "𝔘 \0"])
def test_no_query_is_taken_for_an_operator(tmp_path: Path, query: str) -> None:
    async def work(kept: Documents) -> None:
        await kept.add(ANN, MY, "a.txt", TEXT)
        assert len(await kept.search(ANN, [MY], query, 5)) == 1

    with_documents(tmp_path, work)


# Whose they are


def test_two_users_never_see_each_others_documents(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        mine = await kept.add(ANN, MY, "a.txt", b"Ann's kumquat.")
        await kept.add(BOB, MY, "b.txt", b"Bob's kumquat.")
        own = await kept.create(ANN, "plans")
        other = await kept.add(ANN, own.id, "c.txt", b"Ann's quokka.")
        assert [each.source for each in await kept.search(BOB, [MY], "kumquat", 50)] == ["b.txt"]
        assert [each.source for each in await kept.passages(BOB, [MY, USER])] == ["b.txt"]
        assert [each.id for each in await kept.collections(BOB)] == [MY, USER]
        for name in (own.id, "plans"):
            for refused in (
                kept.search(BOB, [name], "quokka", 5),
                kept.search(BOB, [MY, name], "quokka", 5),
                kept.passages(BOB, [name]),
                kept.documents(BOB, name),
                kept.add(BOB, name, "x.txt", TEXT),
                kept.drop(BOB, name, admin=True),
                kept.delete(BOB, name, other.id, admin=True),
                kept.change(BOB, name, "x", None),
            ):
                with pytest.raises(CollectionNotFound):
                    await refused
        for name, document in ((MY, mine.id), (USER, mine.id)):
            with pytest.raises(DocumentNotFound):
                await kept.document(BOB, name, document)
            assert await kept.passages(BOB, [name], document=document) == []
        assert await kept.search(BOB, [MY], "kumquat", 5, documents=[mine.id]) == []
        assert len(await kept.passages(ANN, [MY, "plans"])) == 2

    with_documents(tmp_path, work)


def test_what_is_shared_is_seen_by_all_and_deleted_by_its_owner(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        shared = await kept.add(ANN, USER, "a.txt", TEXT)
        assert len(await found(kept, BOB, USER, "kumquat")) == 1
        assert (await kept.document(BOB, USER, shared.id)).owner == ANN
        for refused in (
            kept.delete(BOB, USER, shared.id),
            kept.change_document(BOB, USER, shared.id, {"a": 1}),
            kept.drop(BOB, USER),
            kept.change(BOB, USER, "Mine", None),
        ):
            with pytest.raises(Forbidden):
                await refused
        await kept.delete(ANN, USER, shared.id)
        assert await kept.passages(BOB, [USER]) == []
        another = await kept.add(ANN, USER, "b.txt", TEXT)
        await kept.delete(BOB, USER, another.id, admin=True)
        await kept.add(ANN, USER, "c.txt", TEXT)
        await kept.drop(BOB, USER, admin=True)
        assert await kept.passages(ANN, [USER]) == []

    with_documents(tmp_path, work)


def test_who_may_share(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        with pytest.raises(Forbidden):
            await kept.add(ANN, USER, "a.txt", TEXT)
        assert (await kept.add(ANN, USER, "a.txt", TEXT, admin=True)).state == "ready"
        assert (await kept.add(ANN, MY, "a.txt", TEXT)).state == "ready"

    with_documents(tmp_path, work, shared="admins")


# Deleting


def test_nothing_is_left_of_what_was_deleted(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        document = await kept.add(ANN, MY, "a.txt", TEXT)
        await kept.delete(ANN, MY, document.id)
        assert await kept.search(ANN, [MY], "kumquat", 5) == []
        with pytest.raises(DocumentNotFound):
            await kept.delete(ANN, MY, document.id)
        own = await kept.create(ANN, "plans")
        await kept.add(ANN, "plans", "a.txt", TEXT)
        assert (await kept.drop(ANN, "plans")).id == own.id
        with pytest.raises(CollectionNotFound):
            await kept.search(ANN, [own.id], "kumquat", 5)
        await kept.add(ANN, MY, "b.txt", TEXT)
        await kept.drop(ANN, MY)
        assert (await kept.collection(ANN, MY)).ready == 0

    with_documents(tmp_path, work)
    import apsw

    database = apsw.Connection(str(tmp_path / "documents.db"))
    for table in ("document", "passage", "vector"):
        assert database.execute(f"SELECT count(*) FROM {table}").get == 0
    assert database.execute("SELECT count(*) FROM words WHERE words MATCH 'kumquat'").get == 0
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    assert b"kumquat stands" not in (tmp_path / "documents.db").read_bytes()


# Names and sizes


def test_no_other_collection_has_a_name_that_everybody_has_one_of(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        own = await kept.create(ANN, "plans")
        for name in (MY, USER):
            for refused in (kept.create(ANN, name), kept.change(ANN, own.id, name, None)):
                with pytest.raises(InvalidRequest, match=f"a collection called {name}"):
                    await refused
        assert [each.name for each in await kept.collections(ANN)] == [MY, USER, "plans"]

    with_documents(tmp_path, work)


def test_all_collections_of_a_name_are_searched(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        older = await kept.create(ANN, "zoo")
        await kept.add(ANN, older.id, "a.txt", TEXT)
        newer = await kept.create(ANN, "zoo")
        await kept.create(BOB, "zoo")
        assert len(await found(kept, ANN, "zoo", "kumquat")) == 1
        await kept.add(ANN, newer.id, "b.txt", b"An okapi.")
        assert {each.source for each in await kept.passages(ANN, ["zoo"])} == {"a.txt", "b.txt"}
        assert {each.source for each in await kept.passages(ANN, [older.id])} == {"a.txt"}
        assert await kept.passages(BOB, ["zoo"]) == []

    with_documents(tmp_path, work)


@pytest.mark.parametrize(("chunk", "passages"), [(50, 20), (200, 5)])
def test_passages_have_the_size_that_is_set(tmp_path: Path, chunk: int, passages: int) -> None:
    async def work(kept: Documents) -> None:
        document = await kept.add(ANN, MY, "a.txt", b"One more sentence of a text that is forty.\n" * 20)
        assert passages <= document.passages <= 2 * passages
        assert all(len(each.text) <= chunk for each in await kept.passages(ANN, [MY]))

    with_documents(tmp_path, work, chunk=chunk)


def test_of_a_long_query_the_beginning_is_searched_for(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        await kept.add(ANN, MY, "a.txt", TEXT)
        await kept.add(ANN, MY, "b.txt", b"Nothing.")
        for query in ("kumquat " * 100_000, "x " * 5000 + "kumquat"):
            assert len(await kept.search(ANN, [MY], query, 5)) == 2

    with_documents(tmp_path, work)


# Models


def test_a_collection_remembers_its_model(tmp_path: Path) -> None:
    async def hand_in(kept: Documents) -> None:
        await kept.add(ANN, MY, "a.txt", TEXT)
        assert (await kept.collection(ANN, MY)).model == "one"

    async def change(kept: Documents) -> None:
        for refused in (kept.search(ANN, [MY], "kumquat", 1), kept.add(ANN, MY, "b.txt", TEXT)):
            with pytest.raises(WrongState, match="by the model one, which is not served here any more"):
                await refused
        assert len(await kept.passages(ANN, [MY])) == 1
        await kept.drop(ANN, MY)
        await kept.add(ANN, MY, "a.txt", TEXT)
        assert (await kept.collection(ANN, MY)).model == "two"

    async def both(kept: Documents) -> None:
        assert len(await found(kept, ANN, MY, "kumquat")) == 1
        assert (await kept.collection(ANN, MY)).model == "two"
        await kept.add(BOB, MY, "a.txt", TEXT)
        assert (await kept.collection(BOB, MY)).model == "three"

    with_documents(tmp_path, hand_in, "one")
    with_documents(tmp_path, change, "two")
    with_documents(tmp_path, both, "one", "two", "three", model="three")


def test_another_model_of_the_same_name_is_noticed(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        await kept.add(ANN, MY, "a.txt", TEXT)

        async def one(model: str, text: str) -> bytes:
            return bytes(4 * 8)

        kept.vectors.one = one  # type: ignore[method-assign]
        with pytest.raises(WrongState, match="have 8 dimensions now, those of this collection 16"):
            await kept.search(ANN, [MY], "kumquat", 1)

    with_documents(tmp_path, work)


def test_a_server_without_vectors_says_so(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        with pytest.raises(InvalidRequest, match="No model is served here that makes vectors"):
            await kept.add(ANN, MY, "a.txt", TEXT)

    with_documents(tmp_path, work, model="absent")


def test_what_is_not_installed_is_told_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "apsw" else find(name))

    async def work(kept: Documents) -> None:
        with pytest.raises(NotInstalled, match=r"\(apsw\): pip install 'openai-proxy\[documents\]'"):
            await kept.collections(ANN)

    with_documents(tmp_path, work)


def test_a_server_without_documents_loads_none_of_it() -> None:
    code = "import sys, openai_proxy.app; print(sorted({'apsw', 'sqlite_vec', 'pypdfium2'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_collection_that_is_deleted_in_between_is_not_made_again(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        own = await kept.create(ANN, "plans")
        document = structs.replace(await kept.add(ANN, own.id, "a.txt", TEXT), id="late")
        await kept.drop(ANN, own.id)
        settings = kept.settings
        with pytest.raises(CollectionNotFound):
            await kept._write(lambda database: papers.begin(database, document, settings))
        assert len(await kept.collections(ANN)) == 2

    with_documents(tmp_path, work)


def test_a_search_is_written_down_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(kept: Documents) -> None:
        await kept.add(ANN, MY, "a.txt", TEXT)
        used = [(await kept.collection(ANN, MY)).used]
        for seconds in (60.0, 60.0, -1.0):
            monkeypatch.setattr(documents, "TOUCHED", seconds)
            await kept.search(ANN, [MY], "kumquat", 1)
            used.append((await kept.collection(ANN, MY)).used)
        assert used[0] < used[1] == used[2] < used[3]

    with_documents(tmp_path, work)
