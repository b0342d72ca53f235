"""vLLM's log probabilities -> ours: of a token, of a whole prompt, of a prompt that is said back."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from backends.events import Alternative, Candidate, Event, PromptLogprobs, TokenLogprob
from backends.vllm.loaded import Loaded

# Minus infinity is not JSON.
LEAST = -9999.0


def entry(place: Mapping[int, Any], token: int, alternatives: int, *, numbers: bool = False) -> TokenLogprob:
    """The entry of a token; `numbers`: it and its alternatives are called by their ids."""
    found = place[token]
    text = found.decoded_token or ""
    ranked = sorted(place.items(), key=lambda item: item[1].rank or 0)[:alternatives]
    top = tuple(_alternative(other, value, numbers) for other, value in ranked)
    return TokenLogprob(_name(token, text, numbers), max(found.logprob, LEAST), text.encode(errors="replace"), top)


def _alternative(token: int, value: Any, numbers: bool) -> Alternative:
    text = value.decoded_token or ""
    return Alternative(_name(token, text, numbers), max(value.logprob, LEAST), text.encode(errors="replace"))


def _name(token: int, text: str, numbers: bool) -> str:
    """As vLLM writes ids where `return_tokens_as_token_ids` asks for them."""
    return f"token_id:{token}" if numbers else text


def of_prompt(index: int, places: Iterable[Mapping[int, Any] | None], alternatives: int) -> PromptLogprobs:
    """At every place the prompt's own token, which vLLM tells first, and the likeliest."""
    return PromptLogprobs(tuple(None if place is None else _candidates(place, alternatives) for place in places), index)


def _candidates(place: Mapping[int, Any], alternatives: int) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(token, max(value.logprob, LEAST), value.rank, value.decoded_token or "")
        for number, (token, value) in enumerate(place.items())
        if number == 0 or (value.rank or 0) <= alternatives
    )


def echoed(
    loaded: Loaded,
    tokens: Sequence[int],
    text: str,
    places: Sequence[Mapping[int, Any] | None],
    alternatives: int,
    *,
    numbers: bool,
) -> Iterator[TokenLogprob]:
    """An entry for each token of a prompt that is said back as `text`.

    Tokens that the tokenizer put there by itself are not in the text: they add nothing to it.
    """
    special = set(loaded.tokenizer.all_special_ids)
    at = 0
    for token, place in zip(tokens, places, strict=True):
        if place is None:
            own = loaded.tokenizer.decode([token])
            made = TokenLogprob(_name(token, own, numbers), None, own.encode(errors="replace"))
        else:
            own = place[token].decoded_token or ""
            made = entry(place, token, alternatives, numbers=numbers)
        shown = _shown(own, text, at, is_special=token in special)
        at += len(shown)
        yield TokenLogprob(made.token, made.logprob, shown.encode(errors="replace"), made.top)


def _shown(own: str, text: str, at: int, *, is_special: bool) -> str:
    """What a token adds to the text at a place: a tokenizer may begin with a space that is not there."""
    if text.startswith(own, at):
        return own
    if is_special:
        return ""
    bare = own.lstrip()
    return bare if bare and text.startswith(bare, at) else own


async def after(
    events: AsyncGenerator[Event, None], tell: Callable[[], Iterable[Event]], *, only: Event | None = None
) -> AsyncGenerator[Event, None]:
    """The events of a choice after what `tell` makes of its prompt, which is known by then.

    With `only` nothing but that follows: the engine had to write a token to read the prompt.
    """
    async with aclosing(events):
        first = True
        async for event in events:
            if first:
                for told in tell():
                    yield told
                if only is not None:
                    yield only
                    return
                first = False
            yield event
