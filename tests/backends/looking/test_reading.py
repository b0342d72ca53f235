"""The process that reads pictures: what it reads, and that it is there only while it is needed."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image as Pillow

from backends import Model
from backends.apart import Shown
from backends.errors import BadImage, Overloaded
from backends.looking import reading_process
from backends.looking.looker import Looker
from backends.looking.reading_process import ReadingProcess
from backends.looking.rows import rows
from backends.requests import ChatRequest, Form, Image, Message, Text, TokenizeRequest
from tests.backends.conftest import PLACES
from tests.pictures import picture, saved
from tests.scenes import paper, photographed, share_read, turned, words

pytestmark = pytest.mark.engine
MODEL = Model(kinds=frozenset({"chat"}))


class Eyes:
    """A looker and the loop that it lives in."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.runner = runner
        self.looker = Looker(PLACES.get("OPENAI_PROXY_HOME"), PLACES.get("OPENAI_PROXY_WHEELS"))
        self.process = self.looker._process

    def rows(self, page: Pillow.Image) -> list[str]:
        reading = self.runner.run(self.process.read(pixels(page)))
        size = page.size if reading.turned % 180 == 0 else page.size[::-1]
        return rows(reading.lines, *size)

    def told(self, *parts: Image | Text) -> tuple[Text | object, ...]:
        request = ChatRequest(model="m", messages=(Message(role="user", parts=parts),))
        return self.runner.run(self.looker.told(request, MODEL)).messages[0].parts


@pytest.fixture(scope="module")
def eyes() -> Iterator[Eyes]:
    with asyncio.Runner() as runner:
        found = Eyes(runner)
        yield found
        runner.run(found.looker.close())


def pixels(page: Pillow.Image) -> Shown:
    return Shown(*page.size, page.tobytes())


def image(data: bytes, size: tuple[int, int]) -> Image:
    return Image(data, "image/png", *size)


def test_a_receipt_is_read_row_by_row(eyes: Eyes) -> None:
    found = eyes.rows(paper("receipt"))
    assert "TOTAL  12.50" in found
    assert share_read(words("receipt"), "\n".join(found)) == 1


@pytest.mark.parametrize("degrees", [180, 270, 7])
def test_whichever_way_it_lies(eyes: Eyes, degrees: float) -> None:
    page = turned(paper("licence"), degrees)
    reading = eyes.runner.run(eyes.process.read(pixels(page)))
    found = rows(reading.lines, *(page.size if reading.turned % 180 == 0 else page.size[::-1]))
    assert "Name  Maria Lindqvist" in found
    assert (reading.turned + degrees) % 360 == pytest.approx(0 if degrees % 90 == 0 else degrees % 360)


def test_a_photograph_of_a_sign(eyes: Eyes) -> None:
    found = "\n".join(eyes.rows(photographed(paper("sign"), 3)))
    assert share_read(words("sign"), found) == 1


def test_small_words_of_a_large_picture(eyes: Eyes) -> None:
    table = Pillow.new("RGB", (2000, 800), (90, 70, 50))
    table.paste(paper("prices", 24), (1400, 400))
    assert share_read(words("prices"), "\n".join(eyes.rows(table))) > 0.9


@pytest.mark.parametrize("size", [(1, 1), (3000, 2), (2, 900), (640, 480)])
def test_there_is_nothing_to_read(eyes: Eyes, size: tuple[int, int]) -> None:
    assert eyes.rows(Pillow.new("RGB", size, "white")) == []


def test_blocks_stand_before_the_users_words(eyes: Eyes) -> None:
    receipt = paper("receipt")
    first, second = image(saved(receipt), receipt.size), image(picture(), (60, 40))
    [text] = eyes.told(Text("What is"), first, Text("the total?"), second)
    assert isinstance(text, Text)
    told = text.text.splitlines()
    assert told[0].startswith("[Picture 1: 452x416 pixels, landscape. Colours: white 9")
    assert "> TOTAL  12.50" in told
    assert "[Picture 2: 60x40 pixels, landscape. Colours: red 100%." in told
    assert told[-2:] == ["What is", "the total?"]


def test_a_request_without_pictures_is_not_touched(eyes: Eyes) -> None:
    request = ChatRequest(model="m", messages=(Message(role="user", parts=(Text("x"),)),), form=Form({}))
    assert eyes.runner.run(eyes.looker.told(request, MODEL)) is request
    both = ChatRequest(model="m", messages=(Message(role="user", parts=(image(picture(), (60, 40)),)),), form=Form({}))
    assert eyes.runner.run(eyes.looker.told(both, MODEL)).form is None
    tokens = eyes.runner.run(eyes.looker.told(TokenizeRequest(model="m", prompt=both), MODEL)).prompt
    assert isinstance(tokens, ChatRequest)
    assert tokens.messages[0].plain


def test_what_is_damaged_names_its_part(eyes: Eyes) -> None:
    with pytest.raises(BadImage) as caught:
        eyes.told(Text("x"), image(picture("JPEG", (300, 200))[:900], (300, 200)))
    assert caught.value.param == "messages.0.content.1"


def test_it_is_read_once(eyes: Eyes, monkeypatch: pytest.MonkeyPatch) -> None:
    card = paper("card")
    first = eyes.told(image(saved(card), card.size))
    monkeypatch.setattr(ReadingProcess, "read", None)
    assert eyes.told(image(saved(card), card.size)) == first


def test_a_process_that_dies_is_replaced(eyes: Eyes) -> None:
    eyes.rows(paper("sign"))
    assert eyes.looker.pid is not None
    os.kill(eyes.looker.pid, signal.SIGKILL)
    with pytest.raises(Overloaded):
        eyes.rows(paper("sign"))
    assert eyes.rows(paper("sign"))


def test_it_stops_reading_when_nobody_waits(eyes: Eyes) -> None:
    async def left() -> None:
        await eyes.process.read(pixels(paper("sign")))
        before = eyes.looker.pid
        task = asyncio.create_task(eyes.process.read(pixels(paper("letter"))))
        await asyncio.wait({task}, timeout=0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert rows((await eyes.process.read(pixels(paper("sign")))).lines, 1, 1) == ["CAUTION", "WET FLOOR"]
        assert eyes.looker.pid == before

    eyes.runner.run(left())


def test_it_ends_when_nothing_came_for_long(eyes: Eyes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_process, "IDLE_SECONDS", 0.05)

    async def idle() -> None:
        await eyes.process.read(pixels(paper("sign")))
        pid = eyes.looker.pid
        assert pid is not None
        while eyes.looker.pid is not None or Path(f"/proc/{pid}/fd").exists():
            await asyncio.sleep(0.01)

    eyes.runner.run(asyncio.wait_for(idle(), 20))


def test_without_weights_it_says_so(eyes: Eyes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ch_PP-OCRv4_det_infer.onnx").write_bytes(b"x")

    async def folder() -> Path:
        return tmp_path

    process = ReadingProcess(folder, 1)
    with pytest.raises(Overloaded, match="cannot be read at the moment"):
        eyes.runner.run(process.read(pixels(paper("sign"))))
    assert process.pid is None
