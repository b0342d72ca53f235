"""Log probabilities of legacy completions: the token that stands there is among the likeliest, whatever its rank."""

from __future__ import annotations

from backends.events import Alternative, TokenLogprob
from openai_proxy.dialects.openai.answers import legacy_logprobs, logprobs

LIKELY = (Alternative(" a", -0.1, b" a"), Alternative(" b", -2.0, b" b"))
UNLIKELY = TokenLogprob(" z", -9.0, b" z", LIKELY)


def top(*entries: TokenLogprob) -> list[dict[str, float] | None] | None:
    found = legacy_logprobs(entries, 0)
    assert found is not None
    return found.top_logprobs


def test_a_token_is_in_its_own_entry() -> None:
    assert top(UNLIKELY) == [{" a": -0.1, " b": -2.0, " z": -9.0}]
    assert top(TokenLogprob(" b", -2.0, b" b", LIKELY)) == [{" a": -0.1, " b": -2.0}]
    assert top(TokenLogprob(" z", -9.0, b" z"), TokenLogprob("x", None, b"x")) == [{" z": -9.0}, None]


def test_a_chat_has_as_many_as_were_asked_for() -> None:
    found = logprobs([UNLIKELY])
    assert found is not None
    assert [other.token for other in found.content[0].top_logprobs] == [" a", " b"]
