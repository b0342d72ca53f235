"""llama.cpp's grammar language, GBNF, in llguidance's Lark dialect, and which of its rules contain themselves."""

from __future__ import annotations

import re

from backends.constraints.trial import Costly, Invalid

MOST_REPEATS = 1000
# Each is tried on its own, as a walk from the root may miss it.
MOST_LOOPS = 32
REPEAT = re.compile(r'"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|#[^\r\n]*|\{([^}]*)\}', re.DOTALL)
ESCAPE = re.compile(r"\\(?:\\|(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}))")
RULE = re.compile(r"^(\w+): ", re.MULTILINE)
# In Lark, what is no literal, regex or comment is a name.
NAME = re.compile(r'"(?:\\.|[^"\\])*"|/(?:\\.|[^/\\])+/|//[^\n]*|(\w+)', re.DOTALL)


def translated(text: str) -> str:
    """GBNF in Lark. Raises Invalid, or Costly for a repeat count above MOST_REPEATS."""
    from llguidance.gbnf_to_lark import gbnf_to_lark

    if text.lstrip().startswith("%"):
        raise Invalid("a grammar is in GBNF, which has no directives")
    for found in REPEAT.finditer(text):
        for count in re.findall("[0-9]+", found[1] or ""):
            if len(count) > len(str(MOST_REPEATS)) or int(count) > MOST_REPEATS:
                raise Costly(f"repeat counts go up to {MOST_REPEATS}")
    try:
        lark: str = gbnf_to_lark(ESCAPE.sub(_plain, text))
    except RecursionError:
        raise Invalid("this is nested too deeply") from None
    except (LookupError, ValueError, AttributeError):
        raise Invalid("this is no GBNF, or ends within a rule") from None
    except Exception as error:
        raise Invalid(str(error)) from error
    return lark


def loops(lark: str) -> list[str]:
    """The rules that contain themselves."""
    uses = _uses(lark)
    return [name for name in uses if name != "start" and name in _reached(uses, name)]


def check_loops(lark: str) -> None:
    """Raises Costly when more rules contain themselves than can be tried."""
    if len(loops(lark)) > MOST_LOOPS:
        raise Costly(f"at most {MOST_LOOPS} rules may contain themselves")


def started(lark: str, name: str) -> str:
    """The same grammar, starting with rule `name`."""
    free = "whole"
    while free in lark:
        free += "_"
    renamed = NAME.sub(lambda found: free if found[1] == "start" else found[0], lark)
    return f"{renamed}\nstart: {name}\n"


def _uses(lark: str) -> dict[str, set[str]]:
    names = [(found[1], found.start()) for found in NAME.finditer(lark) if found[1]]
    rules = {found.start(): found[1] for found in RULE.finditer(lark)}
    uses: dict[str, set[str]] = {name: set() for name in rules.values()}
    inside = ""
    for name, place in names:
        if place in rules:
            inside = name
        elif inside and name in uses:
            uses[inside].add(name)
    return uses


def _reached(uses: dict[str, set[str]], name: str) -> set[str]:
    seen: set[str] = set()
    waiting = list(uses[name])
    while waiting:
        found = waiting.pop()
        if found not in seen:
            seen.add(found)
            waiting.extend(uses[found])
    return seen


def _plain(found: re.Match[str]) -> str:
    """The translator does not know escapes by number, so plain characters take their place."""
    if found[1] is None:
        return found[0]
    code = int(found[1][1:], 16)
    if code > 0x10FFFF:
        return found[0]
    character = chr(code)
    return found[0] if character in '"\\[]^-' or not character.isprintable() else character
