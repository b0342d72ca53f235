"""The template of the common answer says the same as the types that all other answers are made of."""

from __future__ import annotations

import msgspec
import pytest

from backends.events import Answer, Outcome, Usage
from openai_proxy.dialects.openai.answers import ChatCompletion, Choice, Message, chat_completed, usage

COUNTED = Usage(prompt=7, completion=3, cached=2, reasoning=1)


@pytest.mark.parametrize("text", ["", "hello", 'a "quoted"\n\u2028 \x00 😀 %d %% </script>'])
@pytest.mark.parametrize("reason", ["stop", "length", None])
def test_a_plain_answer_is_what_the_types_encode(text: str, reason: str | None) -> None:
    outcome = msgspec.convert({"answers": [{"text": text, "reason": reason}], "vectors": [], "usage": COUNTED}, Outcome)
    choice = Choice(0, Message(text), reason or "stop")
    whole = ChatCompletion("chatcmpl-1", 17, 'm"odel', [choice], usage(COUNTED))
    assert chat_completed("chatcmpl-1", 17, 'm"odel', outcome) == msgspec.json.encode(whole)


def test_several_choices_are_encoded_from_the_types() -> None:
    outcome = Outcome([Answer("a", reason="stop"), Answer("b", reasoning="why")], [], COUNTED)
    whole = msgspec.json.decode(chat_completed("chatcmpl-1", 17, "m", outcome))
    assert [choice["message"]["content"] for choice in whole["choices"]] == ["a", "b"]
    assert whole["choices"][1]["message"]["reasoning"] == "why"
