"""Texts or token ids, one or many, as completions and embeddings take them."""

from __future__ import annotations

from collections.abc import Sequence

from backends.requests import Prompt
from openai_proxy.errors import InvalidRequest


def prompts(given: str | Sequence[str | int | list[int]], param: str) -> tuple[Prompt, ...]:
    """A text, a list of texts, a list of token ids or a list of such lists. Raises InvalidRequest for a mixture."""
    if isinstance(given, str):
        return (given,)
    if not given:
        raise InvalidRequest(f"{param} cannot be an empty list.", param=param)
    if all(isinstance(item, int) for item in given):
        return (tuple(item for item in given if isinstance(item, int)),)
    several = tuple(tuple(item) if isinstance(item, list) else item for item in given if not isinstance(item, int))
    if len(several) < len(given) or len({type(item) for item in several}) > 1:
        raise InvalidRequest(f"{param} must not mix texts and token ids.", param=param)
    for index, item in enumerate(several):
        if item == ():
            raise InvalidRequest(f"{param}.{index} cannot be empty.", param=f"{param}.{index}")
    return several
