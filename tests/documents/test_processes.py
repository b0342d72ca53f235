"""Several processes keep documents together, stop, and are killed; and what is not there, or not as it should be."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from msgspec import structs

from openai_proxy.documents import MY, connections, documents, papers, shelves
from openai_proxy.documents.documents import Documents
from openai_proxy.errors import StoreFailed
from tests.documents.keeping import ANN, TEXT, found, keeping, with_documents
from tests.documents.library import LIGHT
from tests.running import environment

MANY = 8


def test_a_store_that_cannot_be_opened_says_so(tmp_path: Path) -> None:
    (tmp_path / "documents.db").write_bytes(b"no database, but a file" * 100)

    async def work(kept: Documents) -> None:
        with pytest.raises(StoreFailed, match="Documents cannot be kept"):
            await kept.collections(ANN)

    with_documents(tmp_path, work)


def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        await kept.collections(ANN)

    async def again(kept: Documents) -> None:
        with pytest.raises(StoreFailed, match="newer version"):
            await kept.collections(ANN)

    with_documents(tmp_path, work)
    import apsw

    apsw.Connection(str(tmp_path / "documents.db")).execute("PRAGMA user_version = 99")
    with_documents(tmp_path, again)


def test_several_processes_share_a_database(tmp_path: Path) -> None:
    async def work(first: Documents) -> None:
        async with keeping(tmp_path) as second:
            names = [f"{number}.txt" for number in range(10)]
            adding = [
                (first, second)[place % 2].add(ANN, MY, name, f"word{place} here.".encode())
                for place, name in enumerate(names)
            ]
            await asyncio.gather(*adding)
            assert {each.name for each in await first.documents(ANN, MY)} == set(names)
            assert len(await found(first, ANN, MY, "word7")) == len(await found(second, ANN, MY, "word7")) == 1

    with_documents(tmp_path, work)


def test_many_open_a_new_database_at_once(tmp_path: Path) -> None:
    ready = threading.Barrier(MANY)

    def opens(path: Path) -> None:
        ready.wait()
        connections.opened(path).close()

    with ThreadPoolExecutor(MANY) as threads:
        for number in range(20):
            list(threads.map(opens, [tmp_path / f"{number}.db"] * MANY))


def test_what_is_read_when_the_server_stops_has_failed(tmp_path: Path) -> None:
    async def work(kept: Documents) -> None:
        await kept.begin(ANN, MY, "a.txt", TEXT, id="one")

    async def again(kept: Documents) -> None:
        document = await kept.document(ANN, MY, "one")
        assert (document.state, document.code, document.problem) == ("failed", "server_error", documents.STOPPED)
        assert (await kept.begin(ANN, MY, "a.txt", TEXT, id="one")).state == "reading"
        while (await kept.document(ANN, MY, "one")).state == "reading":
            await asyncio.sleep(0.01)
        assert (await kept.begin(ANN, MY, "a.txt", TEXT, id="one", attributes={"a": "b"})).state == "ready"
        [document] = await kept.documents(ANN, MY)
        assert (document.state, document.attributes) == ("ready", {"a": "b"})

    with_documents(tmp_path, work, first_delay=600)
    with_documents(tmp_path, again)


PROGRAM = """
import asyncio, sys
from pathlib import Path
from tests.documents.keeping import keeping
from tests.documents.library import LIGHT, data

async def main():
    async with keeping(Path(sys.argv[1])) as kept:
        await kept.collections("ann")
        print("ready", flush=True)
        number = 0
        while True:
            number += 1
            await kept.add("ann", "MyData", f"{number}.md", data(LIGHT))
            print(number, flush=True)

asyncio.run(main())
"""


def test_no_half_document_is_left_by_a_process_that_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    promised = 0
    for _ in range(3):
        command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
        env = environment(PYTHONPATH=os.pathsep.join(sys.path))
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=env, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            assert process.stdout.readline() == "1\n"
            time.sleep(random.random() * 0.2)
            process.send_signal(signal.SIGKILL)
            promised += 1 + len(process.stdout.readlines())
    monkeypatch.setattr(papers, "SILENT", -1.0)

    async def work(kept: Documents) -> None:
        every = await kept.documents(ANN, MY)
        ready = [each for each in every if each.state == "ready"]
        assert promised <= len(ready) <= promised + 3
        assert {each.problem for each in every if each.state == "failed"} <= {papers.LOST}
        whole = {each.passages for each in ready}
        assert len(whole) == 1
        texts = await kept.passages(ANN, [MY])
        assert len(texts) == len(ready) * whole.pop()
        assert {each.document for each in texts} == {each.id for each in ready}
        for query in ("Maiden's Tooth", "Provost"):
            hits = await kept.search(ANN, [MY], query, 500)
            assert {each.document for each in hits} <= {each.id for each in ready}

    with_documents(tmp_path, work)
    assert LIGHT.endswith(".md")


def test_a_document_whose_process_died_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def work(kept: Documents) -> None:
        document = structs.replace(await kept.add(ANN, MY, "a.txt", TEXT), id="lost")
        settings = kept.settings
        await kept._write(lambda database: papers.begin(database, document, settings))
        assert (await kept.document(ANN, MY, "lost")).state == "reading"
        monkeypatch.setattr(papers, "SILENT", -1.0)
        monkeypatch.setattr(shelves, "SILENT", -1.0)
        lost = await kept.document(ANN, MY, "lost")
        assert (lost.state, lost.problem) == ("failed", papers.LOST)
        assert (await kept.collection(ANN, MY)).failed == 1

    with_documents(tmp_path, work)
