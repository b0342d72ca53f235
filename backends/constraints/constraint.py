"""Constraints -> grammars in llguidance's Lark dialect, which the engine runs by the same library.

JSON schemas are enforced to the letter or refused. Refused are `not`, `if`/`then`/`else`, `uniqueItems`,
`contains`, `propertyNames`, `dependent*`, `unevaluated*`, `$dynamicRef`, remote references, unknown formats, and
`oneOf` whose branches overlap: whatever the library does not implement. Enforced are among others types, enum, const,
lengths, counts, bounds and multipleOf of numbers, patterns, pattern properties, prefix items, local references.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, assert_never

from backends.constraints.compile import Job
from backends.constraints.compiler import Compiler
from backends.errors import Refused, Unsupported
from backends.requests import Choice, Constraint, Grammar, JsonObject, JsonSchema, Regex

# What a json_object may be, so that a small model comes to an end.
DEPTH = 5
MEMBERS = 16
STRING = 1024

# Strings and arrays without a bound of their own get these; a part of what the schema allows is valid for it too.
LONGEST_STRING = 4096
MOST_ITEMS = 256

UNENFORCED = frozenset(
    {
        "not",
        "if",
        "then",
        "else",
        "uniqueItems",
        "contains",
        "minContains",
        "maxContains",
        "propertyNames",
        "dependentRequired",
        "dependentSchemas",
        "dependencies",
        "unevaluatedProperties",
        "unevaluatedItems",
        "$dynamicRef",
        "$recursiveRef",
    }
)
# Below these keys stand names or values of the user's, not keywords.
NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions"})
VALUES = frozenset({"enum", "const", "default", "examples", "example"})


def is_json(constraint: Constraint | None) -> bool:
    """Whether the answer is JSON."""
    return isinstance(constraint, JsonObject | JsonSchema)


async def grammar(compiler: Compiler, constraint: Constraint | None) -> str:
    """The engine's grammar; empty for no constraint. Raises Refused, Unsupported or SchemaTooComplex."""
    if constraint is None:
        return ""
    param = parameter(constraint)
    if isinstance(constraint, Grammar):
        return await compiler.grammar(Job("gbnf", constraint.text), param)
    return await compiler.grammar(Job("lark", rules("start", constraint)), param)


def parameter(constraint: Constraint) -> str:
    """The request field that a constraint came from."""
    match constraint:
        case JsonObject() | JsonSchema():
            return "response_format"
        case Regex():
            return "regex"
        case Choice():
            return "choice"
        case Grammar():
            return "grammar"
        case _:
            assert_never(constraint)


def rules(name: str, constraint: Constraint) -> str:
    """Lark rules, the first of them called `name`."""
    match constraint:
        case JsonObject():
            return json_object(name)
        case JsonSchema():
            return f"{name}: {json_of(constraint.schema, 'response_format')}\n"
        case Regex():
            return f"{name}: /{_slashed(constraint.pattern)}/\n"
        case Choice():
            return f"{name}: {' | '.join(literal(option) for option in constraint.options)}\n"
        case Grammar():
            raise Unsupported("A grammar cannot be combined with tools.", param="grammar")
        case _:
            assert_never(constraint)


def json_of(schema: Mapping[str, Any], param: str) -> str:
    """A Lark element for JSON of `schema`. Raises Refused, or Unsupported naming a keyword that cannot be enforced."""
    bounded = _bounded(schema, param)
    bounded["x-guidance"] = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
    return f"%json {json.dumps(bounded)}"


def literal(text: str) -> str:
    """A Lark string."""
    return json.dumps(text)


def json_object(name: str) -> str:
    """Lark rules for an object of bounded depth, members and strings."""
    lines = [f"{name}: o{DEPTH}"]
    for depth in range(1, DEPTH + 1):
        inner = f" | o{depth - 1} | a{depth - 1}" if depth > 1 else ""
        lines += [
            f'o{depth}: "{{" (p{depth} (", " p{depth}){{0,{MEMBERS - 1}}})? "}}"',
            f'p{depth}: STRING ": " v{depth}',
            f'a{depth}: "[" (v{depth} (", " v{depth}){{0,{MEMBERS - 1}}})? "]"',
            f'v{depth}: STRING | NUMBER | "true" | "false" | "null"{inner}',
        ]
    lines += [
        r'STRING: /"([^"\\\x00-\x1f\x7f]|\\["\\\/bfnrt]){0,' + f'{STRING}}}"/',
        r"NUMBER: /-?(0|[1-9][0-9]{0,15})(\.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?/",
    ]
    return "\n".join(lines) + "\n"


def _bounded(schema: Mapping[str, Any], param: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key in UNENFORCED:
            raise Unsupported(f"The schema keyword {key!r} cannot be enforced by this engine.", param=param)
        if key == "x-guidance":
            continue
        if key == "multipleOf" and isinstance(value, int | float) and value <= 0:  # the library takes some of them
            raise Refused("The schema keyword 'multipleOf' must be above 0.", param=param)
        made[key] = _bounded_value(key, value, param)
    _bound(made)
    return made


def _bounded_value(key: str, value: Any, param: str) -> Any:
    if key in VALUES:
        return value
    if key in NAMED and isinstance(value, Mapping):
        return {name: _bounded(sub, param) if isinstance(sub, Mapping) else sub for name, sub in value.items()}
    if isinstance(value, Mapping):
        return _bounded(value, param)
    if isinstance(value, list | tuple):
        return [_bounded(item, param) if isinstance(item, Mapping) else item for item in value]
    return value


def _bound(schema: dict[str, Any]) -> None:
    free = not schema.keys() & {"enum", "const", "$ref", "allOf", "anyOf", "oneOf"}
    if schema.get("type") == "string" and free and not schema.keys() & {"maxLength", "pattern", "format"}:
        schema["maxLength"] = max(LONGEST_STRING, schema.get("minLength", 0))
    if schema.get("type") == "array" and free and "maxItems" not in schema:
        schema["maxItems"] = max(MOST_ITEMS, schema.get("minItems", 0))


def _slashed(pattern: str) -> str:
    """A regex between slashes; it always means the whole answer, so anchors at its ends say nothing."""
    if pattern.startswith("^"):
        pattern = pattern[1:]
    if re.search(r"(?<!\\)(\\\\)*\$\Z", pattern):
        pattern = pattern[:-1]
    special = {"/": r"\/", "\n": r"\n", "\r": r"\r", "\0": r"\x00", "\\\0": r"\x00"}
    return re.sub(r"\\.|[/\n\r\0]", lambda found: special.get(found.group(), found.group()), pattern, flags=re.DOTALL)
