"""Bounds on schemas, patterns, grammars and choices before an engine sees them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.errors import BackendError, SchemaTooComplex
from openai_proxy.bodies.schema import check_regex, check_schema
from openai_proxy.config import Limits
from openai_proxy.errors import EdgeError, InvalidRequest, TooManyItems
from tests.dialects.openai.test_fields import ask

LIMITS = Limits(
    regex=30,
    choices=3,
    grammar=40,
    grammar_rules=3,
    schema_bytes=1_000,
    schema_depth=4,
    schema_properties=5,
    schema_enum=4,
    schema_bound=100,
    logit_bias=3,
)


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


def sized(size: int) -> dict[str, Any]:
    return {"description": "d" * (size - len('{"description":""}'))}


CASES: dict[str, tuple[Callable[[int], Any], type[Exception]]] = {
    "regex": (lambda count: {"regex": "a" * count}, SchemaTooComplex),
    "choices": (lambda count: {"choice": ["a"] * count}, TooManyItems),
    "grammar": (lambda size: {"grammar": "#" * size}, SchemaTooComplex),
    "grammar_rules": (lambda count: {"grammar": "a ::= b\n" * count}, SchemaTooComplex),
    "schema_bytes": (lambda size: {"schema": sized(size)}, SchemaTooComplex),
    "schema_depth": (lambda depth: {"schema": nested(depth)}, SchemaTooComplex),
    "schema_properties": (
        lambda count: {"schema": {"properties": {name: {} for name in "abcdefgh"[:count]}}},
        SchemaTooComplex,
    ),
    "schema_enum": (lambda count: {"schema": {"enum": list(range(count))}}, SchemaTooComplex),
    "schema_bound": (lambda bound: {"schema": {"items": {"maxLength": bound}}}, SchemaTooComplex),
}


def constrain(fields: dict[str, Any]) -> None:
    schema = fields.pop("schema", None)
    if schema is not None:
        fields["response_format"] = {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}
    ask(limits=LIMITS, **fields)


@pytest.mark.parametrize("name", CASES)
def test_limits(name: str) -> None:
    make, error = CASES[name]
    limit = getattr(LIMITS, name)
    constrain(make(limit))
    with pytest.raises(error) as caught:
        constrain(make(limit + 1))
    assert isinstance(caught.value, EdgeError | BackendError)
    assert caught.value.param in ("regex", "choice", "grammar", "response_format")


def test_biases_are_counted() -> None:
    ask(limits=LIMITS, logit_bias={str(token): 1 for token in range(3)})
    with pytest.raises(TooManyItems):
        ask(limits=LIMITS, logit_bias={str(token): 1 for token in range(4)})


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"$ref": "#/$defs/a", "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}},
        {"properties": {"a": {"$ref": "#"}}, "required": ["a"]},
        {"$defs": {f"d{i}": {"$ref": f"#/$defs/d{i + 1}"} for i in range(500)} | {"d500": {}}, "$ref": "#/$defs/d0"},
        {"properties": {"default": {"properties": {str(number): {} for number in range(300)}}}},
        {"properties": {"a": {"pattern": "(a{100}){100}"}}},
        {"patternProperties": {"(a{100}){100}": {}}},
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_schemas_too_complex(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaTooComplex):
        check_schema(schema, Limits(), "s")


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"a": {"$ref": "#"}}},
        {"type": "array", "items": {"$ref": "#"}},
        {"properties": {"a": {"$ref": "#/$defs/x~1y~0"}}, "required": ["a"], "$defs": {"x/y~": {"type": "string"}}},
        {"properties": {"enum": {"type": "string"}, "$ref": {"type": "string"}, "required": {}}},
        {"const": {"properties": {str(number): 1 for number in range(300)}}},
        {"required": "a", "properties": [], "enum": {}, "maxLength": "x", "pattern": 1, "$ref": 1, "allOf": 3},
        {"required": [1, {}], "properties": {"a": True}},
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_schemas_that_pass(schema: dict[str, Any]) -> None:
    check_schema(schema, Limits(), "s")


@pytest.mark.parametrize("reference", ["http://x/y", "other.json", "#/nowhere", "#/$defs/a/b", "$defs/a", "#a"])
def test_references_stay_inside(reference: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_schema({"properties": {"a": {"$ref": reference}}, "$defs": {"a": {}}}, Limits(), "s")
    assert caught.value.param == "s"


def test_references_that_multiply_cost_nothing() -> None:
    def twice(target: str) -> dict[str, Any]:
        return {"required": ["a", "b"], "properties": {"a": {"$ref": target}, "b": {"$ref": target}}}

    definitions = {f"d{i}": twice(f"#/$defs/d{i + 1}") for i in range(40)} | {"d40": {}}
    began = time.process_time()
    check_schema({"$ref": "#/$defs/d0", "$defs": definitions}, Limits(), "s")
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    "pattern", ["(a{10}){100}", "(?:a{2,10}b){0,100}", "[{]{1000}", r"\{1000\}\{1000\}", "a{1000}b{1000}", "[[a]"]
)
def test_patterns_that_pass(pattern: str) -> None:
    check_regex(pattern, Limits(), "r")


@pytest.mark.parametrize(
    "pattern", ["(a{11}){100}", "((a{10}){10}){11}", "(x(a{50})|b){50}", "(a{2,}){1,600}", "a{1001}"]
)
def test_patterns_too_complex(pattern: str) -> None:
    with pytest.raises(SchemaTooComplex):
        check_regex(pattern, Limits(), "r")


def test_a_choice_is_as_long_as_a_grammar_in_all() -> None:
    ask(limits=LIMITS, choice=["a" * 20, "b" * 20])
    for over in ({"choice": ["a" * 20, "b" * 21]}, {"structured_outputs": {"choice": ["a" * 41]}}):
        with pytest.raises(SchemaTooComplex) as caught:
            ask(limits=LIMITS, **over)
        assert str(caught.value.param).endswith("choice")


@pytest.mark.parametrize("choice", [[], [""], ["a", ""]])
def test_choices_have_text(choice: list[str]) -> None:
    with pytest.raises(InvalidRequest):
        ask(choice=choice)


WORDS = st.sampled_from(
    ["a", "$ref", "properties", "required", "enum", "allOf", "$defs", "#", "#/$defs/a", "pattern", "("]
)
TREES = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers(-5, 20_000),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=40,
)


@given(st.dictionaries(WORDS, TREES, max_size=6))
def test_any_schema_is_taken_or_refused(schema: dict[str, Any]) -> None:
    with contextlib.suppress(SchemaTooComplex, InvalidRequest):
        check_schema(schema, Limits(), "s")


@given(st.text(alphabet="a(){}[]\\|*+?1,9^-", max_size=30) | st.text(max_size=20))
def test_any_pattern_is_taken_or_refused(pattern: str) -> None:
    with contextlib.suppress(SchemaTooComplex, InvalidRequest):
        check_regex(pattern, Limits(), "r")
