"""`response_format` and the options of other servers -> the one constraint of an answer, within its bounds (P4)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from backends import Model
from backends.errors import SchemaTooComplex, Unsupported
from backends.requests import Choice, Constraint, Grammar, JsonObject, JsonSchema, Regex
from openai_proxy.bodies.chat_body import ChatBody, JsonObjectFormat, JsonSchemaFormat
from openai_proxy.bodies.checks import able, at_most
from openai_proxy.bodies.fields import StructuredOutputs, TextFields
from openai_proxy.bodies.schema import check_regex, check_schema
from openai_proxy.config import Limits
from openai_proxy.decode import Given
from openai_proxy.errors import InvalidRequest

RULE = re.compile(r"^\s*[A-Za-z0-9_-]+\s*::=", re.MULTILINE)
FIELDS = ("response_format", "regex", "choice", "grammar", "structured_outputs")
NAMES = {JsonObject: "json_object", JsonSchema: "json_schema", Regex: "regex", Choice: "choice", Grammar: "grammar"}


def constraint(body: TextFields, fields: Given, model: Model, limits: Limits) -> Constraint | None:
    """What the answer must look like. Raises InvalidRequest, Unsupported or SchemaTooComplex."""
    if fields.keys().isdisjoint(FIELDS):
        return None
    found = list(_constraints(body))
    if not found:
        return None
    if len(found) > 1:
        raise InvalidRequest(f"{found[1][0]} cannot be combined with {found[0][0]}.", param=found[1][0])
    param, wanted = found[0]
    able(model, NAMES[type(wanted)], param)
    _check(wanted, limits, param)
    return wanted


def _constraints(body: TextFields) -> Iterator[tuple[str, Constraint]]:
    if isinstance(body, ChatBody):
        match body.response_format:
            case JsonObjectFormat():
                yield "response_format", JsonObject()
            case JsonSchemaFormat(json_schema=named):
                yield "response_format", JsonObject() if named.schema_ is None else JsonSchema(named.schema_)
    yield from _plain(body, "")
    outputs = body.structured_outputs
    if outputs is None:
        return
    if outputs.structural_tag is not None:
        param = "structured_outputs.structural_tag"
        raise Unsupported("Structural tags are not supported: use json, regex, choice, grammar or tools.", param=param)
    if outputs.json_ is not None:
        yield "structured_outputs.json", JsonSchema(outputs.json_)
    if outputs.json_object:
        yield "structured_outputs.json_object", JsonObject()
    yield from _plain(outputs, "structured_outputs.")


def _plain(options: TextFields | StructuredOutputs, prefix: str) -> Iterator[tuple[str, Constraint]]:
    if options.regex is not None:
        yield f"{prefix}regex", Regex(options.regex)
    if options.choice is not None:
        yield f"{prefix}choice", Choice(tuple(options.choice))
    if options.grammar is not None:
        yield f"{prefix}grammar", Grammar(options.grammar)


def _check(wanted: Constraint, limits: Limits, param: str) -> None:
    match wanted:
        case JsonSchema(schema=schema):
            check_schema(schema, limits, param)
        case Regex(pattern=pattern):
            check_regex(pattern, limits, param)
        case Choice(options=options):
            at_most(options, limits.choices, param)
            # Options become a grammar, and such long ones take seconds to compile.
            if sum(map(len, options)) > limits.grammar:
                raise SchemaTooComplex(f"{param} takes {limits.grammar} characters in all at most.", param=param)
            if not options or not all(options):
                raise InvalidRequest(f"{param} needs at least one option, none of them empty.", param=param)
        case Grammar(text=text):
            if len(text) > limits.grammar or len(RULE.findall(text)) > limits.grammar_rules:
                message = f"{param} takes {limits.grammar} characters and {limits.grammar_rules} rules at most."
                raise SchemaTooComplex(message, param=param)
        case JsonObject():
            pass
