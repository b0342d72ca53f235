"""Sound of strangers is decoded in processes that may do little, and none of them is left over."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path

import av
import pytest

import audio
from audio import BadSound, TooLong
from backends import apart
from backends.apart import asker, sound_child, sounds
from tests.backends.apart.families import children, limit, soon, spares
from tests.sounds import encoded, tone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
SECOND = tone(1.0)
LONG = encoded(tone(60.0, 8000), "flac", "flac", 8000)


def nursery() -> int:
    """The process that forks."""
    apart.warm()
    process = sounds._nursery._process
    assert process is not None
    return process.pid


async def read(data: bytes, longest: float = 60, rate: int = audio.RATE) -> bytes:
    return b"".join([piece async for piece in apart.pieces_soon(data, longest, rate)])


@contextlib.asynccontextmanager
async def reading(data: bytes) -> AsyncIterator[int]:
    """The process that decodes it, which has given its first piece."""
    async with aclosing(apart.pieces_soon(data, 100)) as pieces:
        assert await anext(pieces)
        [child] = children(nursery()) - spares(nursery())
        yield child


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Only the one that waits for the next sound is there before and after."""
    soon(lambda: len(children(nursery())) == 1)
    yield
    soon(lambda: len(children(nursery())) == 1)


def test_it_is_what_is_decoded_here() -> None:
    for data in (SECOND, LONG, encoded(SECOND, "mp3", "libmp3lame")):
        assert asyncio.run(read(data, 100, 8000)) == audio.load(data, 100, 8000).pcm


@pytest.mark.parametrize("form", [("wav", ""), ("mp3", "libmp3lame"), ("flac", "flac"), ("ogg", "libopus")])
def test_the_length_by_the_head_is_told_from_there(form: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of a client's file is opened in this process, neither for that."""
    data = encoded(tone(2.0), *form) if form[1] else tone(2.0)
    monkeypatch.setattr(av, "open", None)
    claims: list[float] = []

    async def heard() -> int:
        return len([piece async for piece in apart.pieces_soon(data, 60, claimed=claims.append)])

    assert asyncio.run(heard()) == 1
    assert claims == [pytest.approx(2.0, abs=0.1)]


@pytest.mark.parametrize("size", [0, 4, 9, 2**31])
def test_a_child_that_tells_no_length_is_not_believed(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def talk(child: asker.Child, most: int) -> tuple[bytes, bytes]:
        if size > most:
            raise EOFError
        return sound_child.CLAIM, bytes(size)

    monkeypatch.setattr(sounds, "_answer", talk)
    with pytest.raises(BadSound, match="it takes too much"):
        asyncio.run(read(SECOND))


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(BadSound, match="none of"):
        asyncio.run(read(b"#EXTM3U\n"))
    with pytest.raises(BadSound, match="no sound in it"):
        asyncio.run(read(SECOND[:44]))
    with pytest.raises(BadSound, match="damaged"):
        asyncio.run(read(b"fLaC" + bytes(100)))
    with pytest.raises(TooLong, match="longer than 5 seconds"):
        asyncio.run(read(LONG, 5))


def test_many_at_once() -> None:
    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*(read(SECOND) for _ in range(40)))

    assert set(map(len, asyncio.run(all_of_them()))) == {32_000}


def test_a_child_dies_when_nobody_listens() -> None:
    async def left() -> None:
        async with reading(LONG):
            pass

    asyncio.run(left())


def test_a_child_dies_when_its_listener_is_canceled() -> None:
    async def canceled() -> None:
        async with reading(LONG) as child:
            os.kill(child, signal.SIGSTOP)
            task = asyncio.create_task(read(LONG, 100))
            await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(canceled())


def test_a_child_may_do_little() -> None:
    async def looked_at() -> None:
        async with reading(LONG) as child:
            assert limit(child, "Max file size") == limit(child, "Max core file size") == "0"
            assert int(limit(child, "Max cpu time")) == 61
            assert int(limit(child, "Max address space")) < 3 << 30
            assert int(limit(child, "Max open files")) == 16
            assert os.getsid(child) == child
            assert Path(f"/proc/{child}/environ").read_bytes() == b""
            assert "NoNewPrivs:\t1" in Path(f"/proc/{child}/status").read_text()
            links = [os.readlink(each) for each in Path(f"/proc/{child}/fd").iterdir()]
            assert sum(each.startswith("socket:") for each in links) == 1
            assert {each for each in links if not each.startswith("socket:")} == {"/dev/null"}

    asyncio.run(looked_at())


def test_memory_is_limited() -> None:
    code = "from backends.apart import nursery; nursery.limit(1, 0); bytearray(2 << 30)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "MemoryError" in done.stderr


def test_a_child_that_dies_is_a_sound_that_cannot_be_read() -> None:
    async def killed() -> None:
        async with aclosing(apart.pieces_soon(LONG, 100)) as pieces:
            await anext(pieces)
            for each in children(nursery()) - spares(nursery()):
                os.kill(each, signal.SIGKILL)
            with pytest.raises(BadSound, match="too much"):
                await anext(pieces)

    asyncio.run(killed())


def test_a_child_that_hangs_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def stopped() -> None:
        async with aclosing(apart.pieces_soon(LONG, 100)) as pieces:
            await anext(pieces)
            for each in children(nursery()) - spares(nursery()):
                os.kill(each, signal.SIGSTOP)
            monkeypatch.setattr(sounds, "PATIENCE", 0.05)
            with pytest.raises(BadSound, match="too much"):
                await anext(pieces)

    asyncio.run(stopped())


def test_the_one_that_forks_is_replaced() -> None:
    async def replaced() -> None:
        before = nursery()
        async with reading(LONG) as child:
            os.kill(before, signal.SIGKILL)
            begun = time.monotonic()
            for _ in range(3):
                assert len(await read(SECOND)) == 32_000
            assert time.monotonic() - begun < asker.START_SECONDS
            assert nursery() != before
            assert Path(f"/proc/{child}/fd").exists()

    asyncio.run(replaced())


@pytest.mark.parametrize("how", ["pass", "os.kill(os.getpid(), 9)"])
def test_none_is_left_when_the_server_is_gone(how: str) -> None:
    code = f"""
import os
from backends.apart import sounds
from tests.backends.apart.families import children, soon
from tests.backends.apart.test_sounds import SECOND, read
import asyncio
asyncio.run(read(SECOND))
forks = sounds._nursery._process.pid
soon(lambda: len(children(forks)) == 1)
print(forks, *children(forks), flush=True)
{how}
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    left = [int(each) for each in done.stdout.split()]
    assert len(left) == 2, done.stderr
    soon(lambda: not any(Path(f"/proc/{each}/fd").exists() for each in left))


# What people and others send


def film(container: str, picture: str, sound: str) -> bytes:
    """Two seconds with a picture."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as writer, av.open(io.BytesIO(tone(2.0)), "r") as reader:
        seen = writer.add_stream(picture, rate=5)
        assert isinstance(seen, av.VideoStream)
        seen.width = seen.height = 64
        seen.pix_fmt = "yuv420p"
        heard = writer.add_stream(sound, rate=48_000)
        assert isinstance(heard, av.AudioStream)
        for _ in range(10):
            writer.mux(seen.encode(av.VideoFrame(64, 64, "yuv420p")))
        for frame in reader.decode(audio=0):
            frame.pts = None
            writer.mux(heard.encode(frame))
        writer.mux(seen.encode(None))
        writer.mux(heard.encode(None))
    return file.getvalue()


@pytest.mark.parametrize(
    ("container", "picture", "sound"),
    [("mp4", "mpeg4", "aac"), ("mov", "mpeg4", "alac"), ("webm", "libvpx", "libopus")],
)
def test_the_sound_of_a_film(container: str, picture: str, sound: str) -> None:
    assert len(asyncio.run(read(film(container, picture, sound)))) / 32_000 == pytest.approx(2.0, abs=0.1)


def test_the_most_channels_at_the_highest_rate() -> None:
    assert len(asyncio.run(read(tone(1.0, 192_000, 8)))) == pytest.approx(32_000, abs=200)


def test_ten_hours_of_silence_are_read_no_further_than_allowed() -> None:
    """A FLAC of some kilobytes whose head says nothing of its length."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 8000, 0, "NONE", ""))
        writer.writeframes(bytes(8000 * 2 * 3600))
    data = bytearray(encoded(file.getvalue(), "flac", "flac", 8000))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    with pytest.raises(TooLong):
        asyncio.run(read(bytes(data), 600))


@pytest.mark.parametrize("part", [0.3, 0.9])
@pytest.mark.parametrize("form", [("mp3", "libmp3lame"), ("ogg", "libopus"), ("webm", "libopus")])
def test_half_a_file_is_heard_as_far_as_it_goes(form: tuple[str, str], part: float) -> None:
    data = encoded(tone(10.0), *form)
    found = asyncio.run(read(data[: int(len(data) * part)]))
    assert 32_000 * 10 * part * 0.5 < len(found) < 32_000 * 10


def test_a_broken_flac_is_refused() -> None:
    data = encoded(tone(10.0), "flac", "flac")
    with pytest.raises(BadSound, match="damaged"):
        asyncio.run(read(data[: len(data) // 2]))


HOOKED = """
import asyncio, importlib.util, sys
ROOT = sys.argv[1]

class Hook:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("audio", "backends", "vision"):
            return importlib.util.spec_from_file_location(name, f"{ROOT}/{name}/__init__.py")

sys.path[:] = [each for each in sys.path if each not in ("", ROOT)]
sys.meta_path.insert(0, Hook)
from backends import apart

async def main():
    data = sys.stdin.buffer.read()
    print(len(b"".join([piece async for piece in apart.pieces_soon(data, 60)])))

asyncio.run(main())
"""


def test_it_is_found_where_an_editable_installation_finds_it_by_a_hook(tmp_path: Path) -> None:
    root = str(Path(audio.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", HOOKED, root],
        input=SECOND,
        capture_output=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    assert done.stdout == b"%d\n" % (2 * audio.RATE), done.stderr


def test_where_nothing_can_decode_no_sound_is_blamed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    sounds._nursery.close()
    monkeypatch.setattr(asker, "PROGRAM", "import nothing_of_that_name")
    monkeypatch.setattr(asker, "LOADED", "import nothing_of_that_name")
    with pytest.raises(apart.NoDecoder):
        asyncio.run(read(SECOND))
    assert "No module named 'nothing_of_that_name'" in caplog.text
    with pytest.raises(apart.NoDecoder):
        apart.warm()
    sounds._nursery.close()
    monkeypatch.undo()
    assert asyncio.run(read(SECOND))
