"""Grammars of clients: GBNF only, ordinary ones taken quickly, ambiguous ones refused, own sentences for both."""

from __future__ import annotations

import asyncio

import pytest

from backends.constraints import constraint
from backends.constraints.compile import Job, compiled
from backends.constraints.compiler import Compiler
from backends.errors import Refused, SchemaTooComplex, Unsupported
from backends.requests import Constraint, Grammar, JsonSchema, Regex

pytest.importorskip("llguidance")

JSON = r"""root   ::= object
value  ::= object | array | string | number | ("true" | "false" | "null") ws
object ::= "{" ws ( string ":" ws value ("," ws string ":" ws value)* )? "}" ws
array  ::= "[" ws ( value ("," ws value)* )? "]" ws
string ::= "\"" ( [^"\\\x7F\x00-\x1F] | "\\" (["\\bfnrt] | "u" [0-9a-fA-F]{4}) )* "\"" ws
number ::= ("-"? ([0-9] | [1-9] [0-9]{0,15})) ("." [0-9]+)? ws
ws     ::= | " " | "\n" [ \t]{0,20}
"""
ORDINARY = [
    JSON,
    'root ::= e\ne ::= t | e "+" t\nt ::= f | t "*" f\nf ::= [0-9]+ | "(" e ")"',
    'root ::= (expr "=" term "\\n")+\nexpr ::= term ([-+*/] term)*\nterm ::= [0-9]+ | "(" expr ")"',
    'root ::= item | item "," root\nitem ::= [a-z]+',
    "root ::= ws [a-z] ws\nws ::= ([ \\t] ws)?",
    "root ::= [a-z]{1,1000}",
    'root ::= ("- " [^\\n]+ "\\n")+',
    'root ::= "start" again? # start\nagain ::= "start" again?',
]
AMBIGUOUS = [
    'root ::= x*\nx ::= "a" | "b" | x x',
    'root ::= x\nx ::= "a" | x x | x x x',
    'root ::= "a" root? root?',
    'root ::= "z" "!" | "z" "?" x\nx ::= "a" | "b" | x x',
    'root ::= "." | x\nx ::= y\ny ::= "(" y ")" | "a" | y y',
]


def tried(wanted: Constraint) -> str:
    async def story() -> str:
        compiler = Compiler()
        try:
            return await constraint.grammar(compiler, wanted)
        finally:
            await compiler.close()

    return asyncio.run(story())


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_grammars_are_taken(text: str) -> None:
    made = compiled(Job("gbnf", text))
    assert (made.error, bool(made.grammar)) == ("", True)


@pytest.mark.parametrize(
    "wanted",
    [
        Regex(r"[\s\S]*"),
        Regex(r"(\w+@\w+\.com, )*"),
        JsonSchema({"$defs": {"n": {"type": "array", "items": {"$ref": "#/$defs/n"}}}, "$ref": "#/$defs/n"}),
        JsonSchema({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}),
        JsonSchema({"oneOf": [{"type": "string"}, {"type": "null"}]}),
        JsonSchema({}),
    ],
)
def test_ordinary_schemas_and_patterns_are_taken(wanted: Constraint) -> None:
    assert not compiled(Job("lark", constraint.rules("start", wanted))).error


@pytest.mark.parametrize("text", AMBIGUOUS)
def test_ambiguous_grammars_are_too_complex(text: str) -> None:
    with pytest.raises(SchemaTooComplex) as caught:
        tried(Grammar(text))
    assert caught.value.param == "grammar"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('%llguidance {}\nstart: "x"', Refused),
        ('\n %llguidance {}\nstart: %json {"type": "object"}', Refused),
        ('root ::= "a"\n%ignore "b"', Refused),
        ('start: "a"', Refused),
        ("root ::= %json {}", Refused),
        ('root ::= <[3]> "a"', Refused),
        ('root ::= "a"{1,1000000000}', SchemaTooComplex),
        ('root ::= "a"{1001}', SchemaTooComplex),
        ('root ::= "a"{ 2000 , }', SchemaTooComplex),
        ('root ::= "\\', Refused),
        ('root ::= "a"{²}', Refused),
        ('root ::= "\\UFFFFFFFF"', Refused),
        ("root ::= " + "(" * 2000 + '"a"' + ")" * 2000, Refused),
        ('root ::= a\na ::= a "x"', Refused),
    ],
)
def test_what_is_no_grammar_here_is_said_in_own_words(text: str, error: type[Refused]) -> None:
    with pytest.raises(error) as caught:
        tried(Grammar(text))
    message = caught.value.message
    assert caught.value.param == "grammar"
    assert len(message) <= 250
    assert "\n" not in message
    for foreign in ("index out of", "recursion depth", "<state>", "non-verbose", "invalid literal", "Traceback"):
        assert foreign not in message


@pytest.mark.parametrize("text", ['root ::= "{2000}" [{3000}]', 'root ::= "a" # {5000}', 'root ::= "a"{1000}'])
def test_a_count_is_only_what_stands_in_a_repeat(text: str) -> None:
    assert not compiled(Job("gbnf", text)).error


def test_a_one_of_that_overlaps_is_unsupported() -> None:
    with pytest.raises(Unsupported) as caught:
        tried(JsonSchema({"oneOf": [{"type": "string"}, {"minLength": 3}]}))
    assert "coerce" not in caught.value.message
    with pytest.raises(Refused) as other:
        tried(JsonSchema({"oneOf": [{"type": "string"}, {"type": "nope"}]}))
    assert not isinstance(other.value, Unsupported)


def test_what_only_running_shows_is_too_complex() -> None:
    with pytest.raises(SchemaTooComplex) as caught:
        tried(Regex("((a{0,1000}){1000}){1000}"))
    assert "<" not in caught.value.message
