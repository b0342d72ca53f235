"""The worker that tries grammars: what it lets through holds, what it does not is refused, bombs included."""

from __future__ import annotations

import asyncio
import json
import time

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.constraints import compiler, constraint
from backends.constraints.compile import Job, compiled
from backends.constraints.compiler import Compiler
from backends.errors import Refused, SchemaTooComplex
from backends.requests import Choice, Constraint, Grammar, JsonObject, JsonSchema, Regex

llguidance = pytest.importorskip("llguidance")


def accepts(wanted: Constraint, text: str) -> bool:
    made = compiled(
        Job("gbnf", wanted.text) if isinstance(wanted, Grammar) else Job("lark", constraint.rules("start", wanted))
    )
    assert not made.error
    matcher = llguidance.LLMatcher(llguidance.LLTokenizer("byte"), made.grammar, log_level=0)
    data = list(text.encode())
    return bool(matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting())


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": "object", "minProperties": 2, "additionalProperties": {"type": "integer"}}, '{"a": 1, "b": 2}', "{}"),
        ({"type": "object", "maxProperties": 1}, '{"a": 1}', '{"a": 1, "b": 2}'),
        ({"type": "object", "patternProperties": {"^a": {}}, "additionalProperties": False}, '{"a": 1}', '{"b": 1}'),
        ({"type": "number", "multipleOf": 0.5}, "1.5", "1.3"),
        ({"type": "number", "minimum": 3.5, "exclusiveMaximum": 4}, "3.6", "4"),
        ({"type": "string", "pattern": "b+"}, '"abc"', '"ac"'),
        ({"type": "string", "pattern": "^b+$", "minLength": 3}, '"bbb"', '"bb"'),
        ({"type": "string", "format": "date"}, '"2024-01-01"', '"soon"'),
        ({"enum": [1, "é"]}, '"é"', "2"),
        ({"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 5}]}, "4", "6"),
        ({"type": "array", "prefixItems": [{"type": "integer"}], "items": False}, "[1]", "[1, 2]"),
        ({"type": "object", "required": ["q"]}, '{"q": 1}', '{"a": 1}'),
        ({"$defs": {"n": {"type": "null"}}, "$ref": "#/$defs/n"}, "null", "0"),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}, "[1, 2]", "[1]"),
    ],
)
def test_schemas_are_enforced(schema: dict[str, object], good: str, bad: str) -> None:
    jsonschema.validate(json.loads(good), schema)
    assert accepts(JsonSchema(schema), good)
    assert not accepts(JsonSchema(schema), bad)


@pytest.mark.parametrize("value", [0, -1, -0.5, -0.0])
def test_a_multiple_is_of_a_number_above_0(value: float) -> None:
    with pytest.raises(Refused, match="multipleOf") as refused:
        constraint.rules("start", JsonSchema({"properties": {"a": {"items": [{"multipleOf": value}]}}}))
    assert refused.value.param == "response_format"
    assert type(refused.value) is Refused
    constraint.rules("start", JsonSchema({"properties": {"multipleOf": {"enum": [{"multipleOf": value}]}}}))


def test_an_x_guidance_of_the_client_cannot_loosen_a_schema() -> None:
    loose = JsonSchema({"type": "array", "oneOf": [{"minItems": 1}, {"maxItems": 3}], "x-guidance": {"lenient": True}})
    assert compiled(Job("lark", constraint.rules("start", loose))).error


@given(st.lists(st.text(min_size=1, max_size=10), min_size=1, max_size=4))
@settings(max_examples=50, deadline=None)
def test_choices_are_taken_to_the_letter(options: list[str]) -> None:
    assert accepts(Choice(tuple(options)), options[0])
    assert not accepts(Choice(tuple(options)), options[0] + "#more#")


@pytest.mark.parametrize(
    ("pattern", "good"),
    [
        (r"^a/b\/c$", "a/b/c"),
        (r"\$\d$", "$1"),
        ("a\nb", "a\nb"),
        (r"\\$", "\\"),
        (r"x\$", "x$"),
        ("a\n$", "a\n"),
        ("(a|b){2}", "ab"),
        ("a\0", "a\0"),
        ("[\0b]", "\0"),
        ("\\\0", "\0"),
    ],
)
def test_patterns_keep_their_meaning(pattern: str, good: str) -> None:
    assert accepts(Regex(pattern), good)
    assert not accepts(Regex(pattern), good + "!")


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ('root ::= "\\u00e9\\x41" [0-9]{2}', "éA12"),
        ('root ::= ("a" | b)*\nb ::= "\\\\x41"', "a\\x41a"),
        ("root ::= [^\\]x]+", "abc"),
        ('root ::= "/" [/]', "//"),
        ('root ::= "<|" [<>]', "<|>"),
    ],
)
def test_gbnf_is_translated(text: str, good: str) -> None:
    assert accepts(Grammar(text), good)
    assert not accepts(Grammar(text), good + "]")


@pytest.mark.parametrize("text", ['root ::= "a\0"', '%llguidance {}\nstart: %json {"type": "string"}'])
def test_what_only_the_worker_would_understand_or_check_is_refused(text: str) -> None:
    assert compiled(Job("gbnf", text)).error


@pytest.mark.parametrize(
    "text",
    [
        'root ::= "\\',
        "root ::= " + "(" * 2000 + ")" * 2000,
        "root ::= nowhere",
        "%llguidance {}\nstart: nowhere",
    ],
)
def test_the_reason_is_short_and_holds_no_dump(text: str) -> None:
    error = compiled(Job("gbnf", text)).error
    assert 0 < len(error) <= 200
    assert "\n" not in error
    for dump in ("<state>", "recursion", "index out of range"):
        assert dump not in error


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("4(1): lexer error\n   2 | start: /\\/\n   3 |", "lexer error"),
        ("at 2(8): failed to compile JSON schema: Invalid type: objekt", "Invalid type: objekt"),
        ("nothing of ours", "nothing of ours"),
    ],
)
def test_the_reason_does_not_show_the_grammar_that_we_made(said: str, told: str) -> None:
    assert compiler._one_line(said) == told


def test_a_json_object_is_bounded_and_an_object() -> None:
    for good in ("{}", '{"a": [1, {"b": null}], "c": "\\n", "d": -1.5e3}'):
        assert accepts(JsonObject(), good)
    for bad in ("[]", '"x"', '{"a": }', "{" + '"a": {' * 9 + "}" * 10, '{"a": 1%s}' % ("0" * 40)):
        assert not accepts(JsonObject(), bad)


def test_results_are_remembered_and_errors_named() -> None:
    async def story() -> None:
        tried = Compiler()
        first = await tried.grammar(Job("lark", "start: /a+/"), "regex")
        assert first.endswith("start: /a+/")
        begun = time.perf_counter()
        for _ in range(1000):
            await tried.grammar(Job("lark", "start: /a+/"), "regex")
        assert time.perf_counter() - begun < 1
        with pytest.raises(Refused) as caught:
            await tried.grammar(Job("lark", "start: foo"), "regex")
        assert caught.value.param == "regex"
        assert len(caught.value.message) < 400
        await tried.close()
        await tried.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    "bomb",
    [
        "start: /" + "(a|b|ab)*" * 100 + "c{1000}/",
        "start: /((a{0,1000}){1000}){1000}/",
        "start: /.*a.{60}/ & /.*b.{50}/ & ~/(.*c.{40})/",
        "start: " + "(" * 5000 + '"a"' + ")" * 5000,
        "\n".join(["start: r0", *(f"r{n}: r{n + 1} r{n + 1}" for n in range(40)), 'r40: "a"?']),
        "start: %json " + '{"items": ' * 2000 + "{}" + "}" * 2000,
    ],
)
def test_a_bomb_hits_the_worker_and_not_us(bomb: str) -> None:
    async def story() -> None:
        tried = Compiler()
        begun = time.perf_counter()
        try:
            await tried.grammar(Job("lark", bomb), "grammar")
            how = "accepted"
        except (SchemaTooComplex, Refused) as error:
            how = type(error).__name__
        print(f"{bomb[:30]!r}: {how} after {time.perf_counter() - begun:.2f} s")
        assert await tried.grammar(Job("lark", 'start: "x"'), "grammar")
        await tried.close()

    asyncio.run(story())


def test_a_worker_that_stalls_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        tried = Compiler()
        await tried.grammar(Job("lark", 'start: "x"'), "grammar")
        assert tried._worker is not None
        tried._worker.send_signal(19)
        monkeypatch.setattr(compiler, "WALL_SECONDS", 0.2)
        with pytest.raises(SchemaTooComplex):
            await tried.grammar(Job("lark", 'start: "y"'), "grammar")
        monkeypatch.setattr(compiler, "WALL_SECONDS", 10)
        assert await tried.grammar(Job("lark", 'start: "z"'), "grammar")
        await tried.close()

    asyncio.run(story())
