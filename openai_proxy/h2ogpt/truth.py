"""Yes or no, as h2oGPT's clients write it."""

from __future__ import annotations

from openai_proxy.errors import InvalidRequest

WORDS = {"True": True, "true": True, "False": False, "false": False}


def truth(value: object, name: str) -> bool | None:
    """What a key says: True or False, the same as a word, 1 or 0; None where it says nothing. Raises InvalidRequest."""
    if value is None or value in ("", "None"):
        return None
    if isinstance(value, str) and value in WORDS:
        return WORDS[value]
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    raise InvalidRequest(f"{name} must be true or false.", param=name)
