"""What an answer must look like."""

from __future__ import annotations

import json
import re
import time

import jsonschema
import pytest

from backends.errors import Refused, SchemaTooComplex, Unsupported
from backends.requests import Choice, Constraint, Grammar, JsonObject, JsonSchema, Regex
from tests.backends.conftest import Served
from tests.backends.vllm.asking import continues, says

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def test_json_is_valid_for_its_schema(vllm_chat: Served) -> None:
    answer = vllm_chat.answer(says("Bob is 42 years old.", constraint=JsonSchema(PERSON), max_tokens=40)).answers[0]
    assert answer.reason == "stop"
    jsonschema.validate(json.loads(answer.text), PERSON)
    assert json.loads(answer.text) == {"name": "Bob", "age": 42}


def test_a_json_object_is_one(vllm_chat: Served) -> None:
    answer = vllm_chat.answer(says("Bob is 42. As JSON:", constraint=JsonObject(), max_tokens=200)).answers[0]
    assert answer.reason == "length" or isinstance(json.loads(answer.text), dict)
    assert answer.text.startswith("{")


def test_a_regex_a_choice_and_a_grammar(vllm_chat: Served) -> None:
    assert re.fullmatch("[0-9]{4}", vllm_chat.answer(says("A year?", constraint=Regex("[0-9]{4}"))).answers[0].text)
    yes_or_no = Choice(("yes", "no"))
    assert vllm_chat.answer(says("Is water wet?", constraint=yes_or_no)).answers[0].text in yes_or_no.options
    assert vllm_chat.answer(continues("The sky", constraint=yes_or_no)).answers[0].text in yes_or_no.options
    grammar = Grammar('root ::= "a" ("b" | "c"){3}')
    assert re.fullmatch("a[bc]{3}", vllm_chat.answer(says("Go", constraint=grammar)).answers[0].text)


@pytest.mark.parametrize(
    ("constraint", "kind"),
    [
        (Regex("[unclosed"), Refused),
        (Regex("\\"), Refused),
        (Grammar("this is no grammar"), Refused),
        (JsonSchema({"type": "nonsense"}), Refused),
        (JsonSchema({"type": "object", "properties": {"a": {"not": {}}}}), Unsupported),
        (Grammar('root ::= x*\nx ::= "a" | "b" | x x'), SchemaTooComplex),
        (JsonSchema({"$ref": "#"}), (Refused, SchemaTooComplex)),
    ],
)
def test_what_cannot_be_enforced_is_refused_at_once(
    vllm_chat: Served, constraint: Constraint, kind: type[Exception]
) -> None:
    vllm_chat.answer(says("x", constraint=Regex("a")))  # the worker that tries grammars is up
    begun = time.monotonic()
    with pytest.raises(kind) as refused:
        vllm_chat.answer(says("x", constraint=constraint))
    assert time.monotonic() - begun < 6
    assert "Error" not in str(refused.value)


def test_a_plain_request_does_not_wait_for_a_costly_one(vllm_chat: Served) -> None:
    assert vllm_chat.answer(says("Hi", max_tokens=2)).usage.completion == 2
