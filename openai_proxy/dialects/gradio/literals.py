"""The dicts that h2oGPT's clients send as text: Python's literals, or JSON.

A text is looked through once, from left to right, before anything parses it: it may hold literals alone, only so many,
only so deep. So no name is ever looked up, and no parser gets what would keep it busy for long.
"""

from __future__ import annotations

import ast
import re
from typing import Any

import msgspec

from openai_proxy.decode import beside
from openai_proxy.errors import InvalidRequest

DEEPEST, MOST = 64, 20_000
OPENING, CLOSING = frozenset("([{"), frozenset(")]}")
# One piece of a literal: a text, a number, a sign, a bracket, or one of the names that mean a value.
PIECE = re.compile(
    r"""
    \s*+ (?:
      (?P<text> [bBuU]? (?: "(?:[^"\\\n]|\\.)*+" | '(?:[^'\\\n]|\\.)*+' ))
    | (?P<one>  [-+]?[0-9][0-9A-Za-z_.]{0,400}+(?:(?<=[eE])[-+][0-9]++)? | [-+]?\.[0-9]++(?:[eE][-+]?[0-9]++)?
              | True\b | False\b | None\b | true\b | false\b | null\b )
    | (?P<mark> [()\[\]{},:] )
    | (?P<end>  \Z )
    )
    """,
    re.VERBOSE | re.DOTALL,
).match
# What JSON means otherwise than Python does: halves of a character, and escapes that Python has not.
OTHERWISE = re.compile(r"""(?<!\\)(?:\\\\)*+\\(?:u[dD][89a-fA-F]|[^\\'"abfnrtvxuUN0-7\n])""").search
HALF = re.compile(r"[\ud800-\udfff]").search
SIMPLE = (bool, int, float, bytes)
NOT_READ = "This is neither a dict as Python writes it nor a JSON object"


async def read_dict(text: object) -> dict[str, Any]:
    """The dict that a text is. Raises InvalidRequest."""
    if not isinstance(text, str):
        raise InvalidRequest("The argument must be a text that holds a dict.")
    value = await beside(text.encode("utf-8", "surrogatepass"), read, text)
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise InvalidRequest("The argument must be a text that holds a dict, whose keys are texts.")
    return value


def read(text: str) -> Any:
    """The value that a text is. Raises InvalidRequest."""
    check(text)
    try:
        value = _json(text) if OTHERWISE(text) else ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        value = _json(text)
    if not plain(value):
        raise InvalidRequest(
            "The dict may hold texts, bytes, numbers, True, False, None, lists, tuples and dicts alone."
        )
    return value


def plain(value: Any) -> bool:
    """Whether it is of those kinds of values, and all texts in it are characters, not halves of one."""
    if isinstance(value, str):
        return value.isascii() or not HALF(value)
    if isinstance(value, dict):
        return all(map(plain, value)) and all(map(plain, value.values()))
    return all(map(plain, value)) if isinstance(value, list | tuple) else value is None or isinstance(value, SIMPLE)


def check(text: str) -> None:
    """Raises InvalidRequest for what is no literal, or too much of one."""
    place = depth = 0
    for _ in range(MOST):
        piece = PIECE(text, place)
        if piece is None:
            raise InvalidRequest(f"{NOT_READ}, from character {place + 1} on.")
        if piece.lastgroup == "end":
            return
        mark = piece["mark"]
        if mark in OPENING:
            depth += 1
        elif mark in CLOSING:
            depth -= 1
        if not 0 <= depth <= DEEPEST:
            raise InvalidRequest(f"The dict is nested more than {DEEPEST} deep." if depth > 0 else f"{NOT_READ}.")
        place = piece.end()
    raise InvalidRequest(f"The dict has more than {MOST} parts.")


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InvalidRequest(f"{NOT_READ}.") from None
