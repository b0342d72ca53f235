"""Whatever a form, a picture or a sound is, the answer is an answer: never a 5xx, always in shape."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.openai.forms import form, part, send, spoken
from tests.dialects.openai.local import CHAT, Local, chat
from tests.dialects.openai.test_fuzz import MANY
from tests.pictures import picture
from tests.sounds import tone

FORM = spoken(tone(0.02), language="en", response_format="verbose_json", temperature=0.5, stream="false")
FILES = [
    *(("image_url", picture(kind, (8, 8))) for kind in ("PNG", "JPEG", "WEBP", "GIF")),
    ("input_audio", tone(0.02)),
]
CLEAR = picture(size=(8, 8), mode="RGBA", colour=(0, 0, 0, 0))
EDIT = (
    "/v1/images/edits",
    form(*(part(name, CLEAR, "a.png") for name in ("image", "mask")), part("prompt", "a"), part("n", "1")),
)
VARIATION = ("/v1/images/variations", form(part("image", picture("WEBP", (8, 8)), "a.webp"), part("model", "echo")))


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """One piece replaced, or the end left out."""
    first = draw(st.integers(0, len(data)))
    last = draw(st.sampled_from([first, min(len(data), first + 8), len(data)]))
    return data[:first] + draw(st.binary(max_size=8)) + data[last:]


@MANY
@given(damaged(FORM))
def test_damaged_forms(local: Local, body: bytes) -> None:
    answer = send(local, body)
    assert answer.status in (200, 400, 404), answer
    if answer.status != 200:
        assert answer.error["type"] == "invalid_request_error"


@MANY
@given(st.sampled_from([EDIT, VARIATION]).flatmap(lambda case: st.tuples(st.just(case[0]), damaged(case[1]))))
def test_damaged_pictures_to_change(local: Local, case: tuple[str, bytes]) -> None:
    path, body = case
    answer = send(local, body, path)
    assert answer.status in (200, 400, 404), answer
    if answer.status != 200:
        assert answer.error["type"] == "invalid_request_error"


@MANY
@given(st.sampled_from(FILES).flatmap(lambda file: st.tuples(st.just(file[0]), damaged(file[1]))))
def test_damaged_files_in_chats(local: Local, case: tuple[str, bytes]) -> None:
    kind, data = case
    text = base64.b64encode(data).decode()
    value = {"url": f"data:;base64,{text}"} if kind == "image_url" else {"data": text, "format": "wav"}
    answer = local.post(CHAT, chat(messages=[{"role": "user", "content": [{"type": kind, kind: value}]}]))
    assert answer.status in (200, 400), answer
    if answer.status == 400:
        assert answer.error["code"] == ("invalid_image" if kind == "image_url" else "invalid_audio")
        assert answer.error["param"] == "messages.0.content.0"
