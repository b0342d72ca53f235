"""Pictures in chats, by a real engine with a random model: that it looks, not what it sees."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing, suppress
from typing import Any

import pytest

from backends.errors import Refused, Unsupported
from backends.events import Delta, Outcome
from backends.requests import ChatRequest, Image, Message, Part, Text, TokenizeRequest
from tests.backends.conftest import Served
from tests.backends.vllm.asking import says
from tests.pictures import picture

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
# Of the checkpoint: one size for every picture, framed by three tokens.
TOKENS_A_PICTURE = 7


def shows(*parts: Part | str, tokens: int = 8, **more: Any) -> ChatRequest:
    """A chat of one message of such parts."""
    made = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return says("", messages=(Message(role="user", parts=made),), max_tokens=tokens, **more)


def of(colour: str, size: tuple[int, int] = (60, 40)) -> Image:
    return Image(picture("PNG", size, colour), "image/png", *size)


def text(outcome: Outcome) -> str:
    return outcome.answers[0].text


def test_it_knows_that_it_looks(vllm_looks: Served, vllm_chat: Served) -> None:
    assert vllm_looks.backend.model.modalities == {"image"}
    assert vllm_looks.backend.model.kinds == {"chat", "completion", "tokenize"}
    assert vllm_chat.backend.model.modalities == set()


def test_an_answer_depends_on_the_picture(vllm_looks: Served) -> None:
    words = vllm_looks.answer(shows("What is it?"))
    red, blue = (vllm_looks.answer(shows(of(colour), "What is it?")) for colour in ("red", "blue"))
    assert len({text(words), text(red), text(blue)}) == 3
    assert text(vllm_looks.answer(shows(of("red"), "What is it?"))) == text(red)
    assert red.usage.prompt == blue.usage.prompt == words.usage.prompt + TOKENS_A_PICTURE


def test_the_order_of_pictures_matters(vllm_looks: Served) -> None:
    one = vllm_looks.answer(shows(of("red"), "then", of("blue")))
    other = vllm_looks.answer(shows(of("blue"), "then", of("red")))
    assert text(one) != text(other)
    assert one.usage.prompt == other.usage.prompt


def test_pictures_over_the_limit_are_refused(vllm_looks: Served) -> None:
    assert vllm_looks.answer(shows(*[of("red")] * 8, "?")).usage.prompt > 8 * TOKENS_A_PICTURE
    with pytest.raises(Refused, match="8 image") as refused:
        vllm_looks.answer(shows(*[of("red")] * 9, "?"))
    assert refused.value.param == "messages"


def test_a_damaged_picture_is_refused_by_its_place(vllm_looks: Served) -> None:
    whole = picture("JPEG", (600, 400))
    with pytest.raises(Refused) as refused:
        vllm_looks.answer(shows("look", Image(whole[: len(whole) // 2], "image/jpeg", 600, 400)))
    assert refused.value.param == "messages.0.content.1"


@pytest.mark.parametrize("parts", [("<image>",), ("<image>", of("red")), ("<image>" * 300, of("red"))])
def test_the_name_of_a_picture_token_does_no_harm(vllm_looks: Served, parts: tuple[Part | str, ...]) -> None:
    """In a text it is the token, as with every special one; pictures may come to stand there."""
    with suppress(Refused):
        assert vllm_looks.answer(shows(*parts)).usage.completion
    assert text(vllm_looks.answer(shows(of("red"), "?"))) == text(vllm_looks.answer(shows(of("red"), "?")))


def test_options_of_text_beside_a_picture(vllm_looks: Served) -> None:
    with pytest.raises(Refused) as refused:
        vllm_looks.answer(shows(of("red"), "?", extra={"truncate_prompt_tokens": 4}))
    assert refused.value.param == "truncate_prompt_tokens"
    outcome = vllm_looks.answer(shows(of("red"), "?", prompt_logprobs=0))
    assert outcome.answers[0].prompt is not None
    assert len(outcome.answers[0].prompt.places) == outcome.usage.prompt


def test_a_chat_with_a_picture_is_tokenized(vllm_looks: Served) -> None:
    request = shows(of("red"), "?")
    found = vllm_looks.answer(TokenizeRequest(model="m", prompt=request, special=False)).tokens
    assert found is not None
    assert len(found.ids) == vllm_looks.answer(request).usage.prompt


def test_a_model_that_cannot_look_says_so(vllm_chat: Served) -> None:
    with pytest.raises(Unsupported) as refused:
        vllm_chat.answer(shows("?", of("red")))
    assert refused.value.param == "messages.0.content.1"


def test_eight_photographs_do_not_hold_up_another_stream(vllm_looks: Served) -> None:
    """Decoding and resizing is done beside the loop, which goes on; how fast depends on the machine."""
    photographs = [Image(picture("JPEG", (4000, 3000), colour), "image/jpeg", 4000, 3000) for colour in ("red", "blue")]

    async def longest_gap(request: ChatRequest) -> float:
        gaps, last = [], time.monotonic()
        async with aclosing(vllm_looks.backend.run(request)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    gaps.append(time.monotonic() - last)
                    last = time.monotonic()
        return max(gaps)

    async def work() -> tuple[float, int]:
        stream = asyncio.create_task(longest_gap(says("Go on.", max_tokens=400, extra={"ignore_eos": True})))
        looked = await Outcome.of(vllm_looks.backend.run(shows(*photographs * 4, "?")))
        return await stream, looked.usage.prompt

    gap, tokens = vllm_looks.runner.run(work())
    assert tokens > 8 * TOKENS_A_PICTURE
    print(f"longest gap {gap * 1000:.0f} ms")
    assert gap < 2
