"""Pictures of strangers are decoded in processes that may do little, and what was made of them is kept for a while."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator

import pytest
from PIL import Image

import vision
from backends import apart
from backends.apart import asker, pictures
from backends.apart.kept import Kept
from tests.backends.apart.families import children, limit, soon, spares
from tests.pictures import picture, saved
from vision import BadPicture

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
NOISE = Image.effect_noise((2000, 1500), 90).convert("RGB")
# So large a one that a test can look at who decodes it.
SLOW = saved(NOISE.resize((5000, 5000)), "WEBP", lossless=True, method=0, quality=0)


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Nothing is kept before, and no process is left over."""
    apart.keep(0)
    yield
    apart.keep(pictures.MOST_KEPT)
    soon(lambda: len(children(nursery())) == 1)


def nursery() -> int:
    assert pictures._nursery.lives()
    process = pictures._nursery._process
    assert process is not None
    return process.pid


def shown(data: bytes, *how: object) -> apart.Shown:
    return asyncio.run(apart.shown_soon(data, *how))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_it_is_what_is_decoded_here(kind: str) -> None:
    data = saved(NOISE, kind)
    for sides in ((None, None), (300, None), (None, 100)):
        assert shown(data, "pixels", *sides).pixels() == vision.load(data, *sides)
    assert shown(data, "png", 300).data == vision.png(vision.load(data, 300))
    assert shown(data, "size", 300) == apart.Shown(300, 225)


def test_how_opaque_it_is() -> None:
    data = picture(mode="RGBA", colour=(255, 0, 0, 99))
    assert shown(data, "alpha").pixels("L").getextrema() == (99, 99)


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "no PNG"), (b"<svg/>", "no PNG"), (saved(NOISE, "JPEG")[:5000], "damaged"), (picture()[:60], "damaged")],
)
def test_what_is_wrong_is_said(data: bytes, why: str) -> None:
    with pytest.raises(BadPicture, match=why):
        shown(data)


def test_many_at_once() -> None:
    async def all_of_them() -> list[apart.Shown]:
        data = picture("JPEG", (640, 480))
        return await asyncio.gather(*(apart.shown_soon(data) for _ in range(40)))

    assert {(each.width, each.height) for each in asyncio.run(all_of_them())} == {(640, 480)}


async def at_work() -> int:
    """The child that has its task, once it has."""
    forks = nursery()
    while not (busy := children(forks) - spares(forks)):
        await asyncio.sleep(0.001)
    return busy.pop()


def test_a_child_may_do_little_and_dies_with_whoever_waits() -> None:
    async def canceled() -> None:
        task = asyncio.create_task(apart.shown_soon(SLOW))
        child = await at_work()
        os.kill(child, signal.SIGSTOP)
        assert limit(child, "Max file size") == limit(child, "Max core file size") == "0"
        assert limit(child, "Max cpu time") == "5"
        assert int(limit(child, "Max address space")) < 3 << 30
        assert limit(child, "Max open files") == "16"
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(canceled())


@pytest.mark.parametrize("by", [signal.SIGSTOP, signal.SIGKILL, signal.SIGXCPU])
def test_a_child_that_hangs_or_dies_is_a_picture_that_cannot_be_read(
    by: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "PATIENCE", 0.5 if by == signal.SIGSTOP else 20)

    async def struck() -> None:
        task = asyncio.create_task(apart.shown_soon(SLOW))
        os.kill(await at_work(), by)
        with pytest.raises(BadPicture, match="too much"):
            await task

    asyncio.run(struck())


def test_whoever_waits_too_long_for_a_turn_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asker, "WAITING_SECONDS", 0.01)

    async def crowded() -> list[apart.Shown | BaseException]:
        some = [apart.shown_soon(SLOW, "size") for _ in range(asker.AT_ONCE + 1)]
        return await asyncio.gather(*some, return_exceptions=True)

    assert isinstance(asyncio.run(crowded())[-1], apart.NoDecoder)


def test_a_picture_that_comes_again_is_not_decoded_again() -> None:
    data = picture("JPEG", (640, 480))
    apart.keep(2 * 640 * 480 * 3)
    first = shown(data)
    assert shown(data) is first
    assert shown(data, "size") is not first
    assert shown(picture("JPEG", (640, 479))) is not first
    apart.keep(0)
    assert shown(data) is not first


def test_what_is_kept_is_bounded() -> None:
    kept = Kept[bytes](10, len)
    for key in range(5):
        kept.put(key, bytes(4))
        assert kept.get(0) == (bytes(4) if key < 5 else None)
    assert (kept.bytes, kept.get(4), kept.get(3)) == (8, bytes(4), None)
    kept.put(9, bytes(11))
    assert kept.get(9) is None
    kept.put(9, bytes(10))
    assert (kept.bytes, kept.get(4)) == (10, None)
    kept.put(9, bytes(10))
    kept.resize(9)
    assert (kept.bytes, kept.get(9)) == (0, None)
