"""Bounds on JSON schemas and regular expressions, before an engine compiles them: P4."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from backends.errors import SchemaTooComplex
from openai_proxy.config import Limits
from openai_proxy.errors import InvalidRequest

BOUNDS = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties", "minContains", "maxContains"}
)
NAMED = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
VALUES = frozenset({"enum", "const", "default", "examples"})
CHAIN = 64
REPEATS = 1000
PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\(|\)|\{(\d+)(?:,(\d*))?\}|.", re.DOTALL)


def check_schema(schema: Mapping[str, Any], limits: Limits, param: str) -> None:
    """Raises SchemaTooComplex, or InvalidRequest for a `$ref` that leads nowhere or out of the schema."""
    if len(msgspec.json.encode(schema)) > limits.schema_bytes:
        raise SchemaTooComplex(f"{param} is larger than {limits.schema_bytes} bytes.", param=param)
    walk = _Walk(schema, limits, param)
    walk.visit(schema, 1)
    walk.ends(schema, ())


class _Walk:
    def __init__(self, root: Mapping[str, Any], limits: Limits, param: str) -> None:
        self.root = root
        self.limits = limits
        self.param = param
        self.properties = 0
        self.values = 0
        self.finite: set[str] = set()

    def visit(self, node: Any, depth: int) -> None:
        """A schema, or a list of them."""
        if depth > 2 * self.limits.schema_depth + 1:
            raise self._too(f"is nested deeper than {self.limits.schema_depth} levels")
        if isinstance(node, list):
            for item in node:
                self.visit(item, depth + 1)
        if not isinstance(node, Mapping):
            return
        self._count(node)
        self._bounds(node)
        self._reference(node.get("$ref"))
        for key, value in node.items():
            if key in NAMED and isinstance(value, Mapping):
                for name, inner in value.items():
                    if key == "patternProperties":
                        check_regex(name, self.limits, self.param)
                    self.visit(inner, depth + 2)
            elif key not in VALUES:
                self.visit(value, depth + 1)

    def _count(self, node: Mapping[str, Any]) -> None:
        properties, values = node.get("properties"), node.get("enum")
        if isinstance(properties, Mapping):
            self.properties += len(properties)
        if isinstance(values, list):
            self.values += len(values)
        if self.properties > self.limits.schema_properties:
            raise self._too(f"has more than {self.limits.schema_properties} properties")
        if self.values > self.limits.schema_enum:
            raise self._too(f"has more than {self.limits.schema_enum} enum values")

    def _bounds(self, node: Mapping[str, Any]) -> None:
        for key in BOUNDS & node.keys():
            if isinstance(node[key], int) and node[key] > self.limits.schema_bound:
                raise self._too(f"has {key} above {self.limits.schema_bound}")
        pattern = node.get("pattern")
        if isinstance(pattern, str):
            check_regex(pattern, self.limits, self.param)

    def ends(self, node: Any, path: tuple[str, ...]) -> None:
        """Follow what every valid value must contain; a `$ref` met again on the way means that no value is finite."""
        if not isinstance(node, Mapping):
            return
        reference = node.get("$ref")
        if isinstance(reference, str):
            if reference in path:
                raise self._too("requires itself without end")
            if len(path) >= CHAIN:
                raise self._too(f"has more than {CHAIN} references in a row")
            if reference not in self.finite:
                self.ends(self._reference(reference), (*path, reference))
                self.finite.add(reference)
        properties, required = node.get("properties"), node.get("required")
        if isinstance(properties, Mapping) and isinstance(required, list):
            for name in required:
                self.ends(properties.get(name) if isinstance(name, str) else None, path)
        for part in node.get("allOf", ()) if isinstance(node.get("allOf"), list) else ():
            self.ends(part, path)

    def _reference(self, reference: Any) -> Any:
        if not isinstance(reference, str):
            return None
        if not reference.startswith("#"):
            raise InvalidRequest(f"{self.param}: $ref must point into the schema itself.", param=self.param)
        node: Any = self.root
        for step in reference.removeprefix("#").removeprefix("/").split("/"):
            if not step:
                continue
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(node, Mapping) or name not in node:
                raise InvalidRequest(f"{self.param}: $ref leads nowhere.", param=self.param)
            node = node[name]
        return node

    def _too(self, what: str) -> SchemaTooComplex:
        return SchemaTooComplex(f"{self.param} {what}.", param=self.param)


def check_regex(pattern: str, limits: Limits, param: str) -> None:
    """Raises SchemaTooComplex for a long pattern or repeats that multiply. Its syntax is the engine's own."""
    if len(pattern) > limits.regex:
        raise SchemaTooComplex(f"{param}: a regex is longer than {limits.regex} characters.", param=param)
    if _repeats(pattern) > REPEATS:
        message = f"{param}: the counted repeats of a regex, multiplied where they nest, are more than {REPEATS}."
        raise SchemaTooComplex(message, param=param)


def _repeats(pattern: str) -> int:
    """The largest product of nested counted repeats."""
    stack = [1]
    last = 1
    for match in PIECE.finditer(pattern):
        piece = match[0]
        if piece == "(":
            stack.append(1)
            last = 1
        elif piece == ")" and len(stack) > 1:
            last = stack.pop()
            stack[-1] = max(stack[-1], last)
        elif match[1] is not None:
            last *= max(int(match[1]), int(match[2] or 0), 1)
            stack[-1] = max(stack[-1], last)
        elif piece not in "?+*":
            last = 1
    return max(stack)
