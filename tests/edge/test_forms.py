"""Forms are read piece by piece: where the pieces end makes no difference."""

from __future__ import annotations

import pytest
from msgspec import Struct

from openai_proxy.config import Limits
from openai_proxy.forms import STRIDE, read_form
from tests.dialects.openai.forms import BOUNDARY, form, part


class Given(Struct, rename={"files": "files[]"}):
    text: str
    files: list[bytes]


@pytest.mark.parametrize("shift", [*range(-12, 13), STRIDE - 1, STRIDE, 2 * STRIDE + 1])
def test_wherever_the_pieces_end(shift: int) -> None:
    """The boundary, what looks like one, and the heads of the parts lie across."""
    before = len(part("files", b"", "a"))
    first = bytes(STRIDE - before + shift)
    second = f"\r\n--{BOUNDARY[:-1]}\r\n--".encode() * 3
    body = form(part("files", first, "a"), part("files[]", second, "b"), part("text", "ä"), part("files", b"", "c"))
    given, names = read_form(body, BOUNDARY.encode(), Given, Limits())
    assert given == Given("ä", [first, second, b""])
    assert names == {"text", "files"}
