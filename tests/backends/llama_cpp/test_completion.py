from __future__ import annotations

from typing import Any

import pytest

from backends.errors import ContextExceeded, Refused, Unsupported
from backends.events import Delta, Finish, Usage
from backends.requests import CompletionRequest, Prompt, Regex, Sampling
from tests.backends.llama_cpp.conftest import Running

pytestmark = pytest.mark.engine


def asks(*prompts: Prompt, echo: bool = False, **sampling: Any) -> CompletionRequest:
    made = Sampling(**{"temperature": 0.0, "max_tokens": 5, **sampling})
    return CompletionRequest(model="m", prompts=prompts, echo=echo, sampling=made)


def test_text_and_the_same_text_as_tokens_are_continued_alike(chat: Running) -> None:
    outcome = chat.answer(asks("Hello,", (19556, 28)))
    assert outcome.answers[0].text == outcome.answers[1].text != ""
    assert (outcome.usage.prompt, outcome.usage.completion) == (4, 10)


def test_several_prompts_and_choices_are_numbered_in_order(chat: Running) -> None:
    outcome = chat.answer(asks("One, two,", "Red, green,", n=2, echo=True, temperature=1.0, seed=4))
    starts = [answer.text[:4] for answer in outcome.answers]
    assert starts == ["One,", "One,", "Red,", "Red,"]


def test_echo_comes_first_and_exactly(chat: Running) -> None:
    prompt = "  déjà <b>vu</b>\n"
    events = chat.events(asks(prompt, echo=True))
    assert events[0] == Delta(prompt)
    assert chat.events(asks((19556, 28), echo=True))[0] == Delta("Hello,")
    with pytest.raises(Unsupported) as caught:
        chat.answer(asks("x", echo=True, logprobs=1))
    assert caught.value.param == "echo"


def test_no_tokens_asked_for_is_only_counted(chat: Running) -> None:
    events = chat.events(asks("Hello,", (1, 2, 3), echo=True, max_tokens=0, n=1))
    assert events[2:] == [Finish("length", 0), Finish("length", 1), Usage(prompt=5)]


def test_logprobs_and_stops_and_constraints(chat: Running) -> None:
    answer = chat.answer(asks("Hello,", logprobs=2, max_tokens=6)).answers[0]
    assert answer.logprobs is not None
    assert b"".join(entry.data for entry in answer.logprobs).decode() == answer.text
    cut = chat.answer(asks("Hello,", max_tokens=6, stop=(answer.text[3:5],))).answers[0]
    assert cut.text == answer.text[: answer.text.index(answer.text[3:5])]
    assert chat.answer(asks("Hello,", constraint=Regex("(yes|no)"))).answers[0].text in ("yes", "no")


@pytest.mark.parametrize(
    ("prompt", "error"),
    [
        ((49152,), Refused),
        ((-1,), Refused),
        ("", Refused),
        ("a b " * 3000, ContextExceeded),
        ((5,) * 2049, ContextExceeded),
    ],
)
def test_bad_prompts_are_refused_by_name(chat: Running, prompt: Prompt, error: type[Refused]) -> None:
    with pytest.raises(error) as caught:
        chat.answer(asks(prompt))
    assert caught.value.param == "prompt"
