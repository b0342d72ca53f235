"""The OpenAPI 3.1 document, generated from the types that decode requests and encode answers.

Source: https://spec.openapis.org/oas/v3.1.0. What a configured limit adds to a type is written in from the limits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct

from openai_proxy import __version__
from openai_proxy.config import Limits
from openai_proxy.errors import TABLE
from openai_proxy.wire import Envelope

REFERENCE = "#/components/schemas/{name}"
UNAUTHORIZED = frozenset({"/health", "/livez"})
LIMITS = {
    "n": ("maximum", "n"),
    "messages": ("maxItems", "messages"),
    "stop": ("maxItems", "stop"),
    "tools": ("maxItems", "tools"),
    "choice": ("maxItems", "choices"),
    "regex": ("maxLength", "regex"),
    "grammar": ("maxLength", "grammar"),
    "model": ("maxLength", "model_name"),
    "input": ("maxItems", "inputs"),
    **dict.fromkeys(("documents", "queries", "items", "text_1", "text_2", "data_1", "data_2"), ("maxItems", "inputs")),
    "tokens": ("maxItems", "tokenize"),
    "prompt": ("maxItems", "prompts"),
    "logit_bias": ("maxProperties", "logit_bias"),
    "negative_prompt": ("maxLength", "image_prompt"),
    "image[]": ("maxItems", "media"),
}
# Where a field of the same name has another limit.
LIMITS_OF: Mapping[str, dict[str, tuple[str, str]]] = {
    "SpeechBody": {"input": ("maxLength", "speech_characters")},
    **{name: {"prompt": ("maxLength", "image_prompt")} for name in ("GenerationBody", "EditBody")},
}
PROBLEM = "application/problem+json"
KINDS = {"maximum": "integer", "maxItems": "array", "maxLength": "string", "maxProperties": "object"}


class Operation(Struct, frozen=True):
    """One method of one path. `body` and `reply` are the types on the wire; `streams`: `stream` turns it into SSE.

    `status` is that of its answer, or one of `also`; `problem` is what errors are beside OpenAI's (RFC 9457).
    `media` is the answer's type where it is not JSON, `text` a further one for text; `form`: the body is a form with
    files; `query` has the address's parameters. `not_ready` documents a 503 with the same body, `accepts` a 202. Errors
    may be `faults` in place of OpenAI's, and have more `statuses`.
    """

    method: str
    path: str
    summary: str
    body: type[Struct] | None = None
    reply: type[Struct] | tuple[type[Struct], ...] | None = None
    streams: bool = False
    media: str = "application/json"
    not_ready: bool = False
    accepts: bool = False
    form: bool = False
    text: tuple[str, ...] = ()
    query: type[Struct] | None = None
    status: int = 200
    also: tuple[int, ...] = ()
    problem: type[Struct] | None = None
    faults: tuple[type[Struct], ...] = (Envelope,)
    statuses: tuple[int, ...] = ()

    @property
    def replies(self) -> tuple[type[Struct], ...]:
        """What the answer may be."""
        if self.reply is None:
            return ()
        return self.reply if isinstance(self.reply, tuple) else (self.reply,)


def document(operations: Sequence[Operation], limits: Limits) -> dict[str, Any]:
    """The whole document."""
    # Of two with the same path the first one is served.
    operations = tuple({(each.method, each.path): each for each in reversed(operations)}.values())[::-1]
    parts = ((each.body, *each.replies, each.problem, *each.faults) for each in operations)
    shown = (kind for kinds in parts for kind in kinds if kind)
    kinds = list(dict.fromkeys((*shown, Envelope)))
    _, schemas = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
    for operation in operations:
        if operation.body is not None:
            _narrow(operation.body.__name__, schemas, limits)
            _files(schemas[operation.body.__name__])
    paths: dict[str, Any] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {"title": "openai-proxy", "version": __version__, "description": "OpenAI's API over local engines."},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    }


def _narrow(body: str, schemas: Mapping[str, Any], limits: Limits) -> None:
    schema = schemas[body]
    for name, (keyword, setting) in (LIMITS | LIMITS_OF.get(body, {})).items():
        for arm in _arms(schema.get("properties", {}).get(name, {})):
            if arm.get("type") == KINDS[keyword]:
                bound = getattr(limits, setting)
                arm[keyword] = min(bound, arm.get(keyword, bound))


def _files(schema: dict[str, Any]) -> None:
    """A form's files are bytes as they are, not base64."""
    for each in schema.get("properties", {}).values():
        for arm in (*_arms(each), each.get("items", {})):
            if arm.pop("contentEncoding", None):
                arm["format"] = "binary"


def _arms(schema: dict[str, Any]) -> Iterable[dict[str, Any]]:
    return [schema, *schema.get("anyOf", ())]


def _operation(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.method.lower() + re.sub(r"\W+", "_", operation.path),
        "summary": operation.summary,
        "responses": _responses(operation),
        "security": [] if operation.path in UNAUTHORIZED else [{"key": []}],
    }
    if operation.body is not None:
        schema = {"$ref": REFERENCE.format(name=operation.body.__name__)}
        kind = "multipart/form-data" if operation.form else "application/json"
        described["requestBody"] = {"required": True, "content": {kind: {"schema": schema}}}
    if parameters := [*_in_path(operation.path), *_in_query(operation.query)]:
        described["parameters"] = parameters
    return described


def _in_path(path: str) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)\}", path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}


def _in_query(query: type[Struct] | None) -> Iterable[dict[str, Any]]:
    """One that has no value is left out: an address has no null."""
    if query is None:
        return
    described = msgspec.json.schema(query)["$defs"][query.__name__]["properties"]
    for name, schema in described.items():
        arms = [arm for arm in schema.get("anyOf", [schema]) if arm.get("type") != "null"]
        yield {"name": name, "in": "query", "required": False, "schema": arms[0]}


def _any_of(kinds: Sequence[type[Struct]]) -> dict[str, Any]:
    references = [{"$ref": REFERENCE.format(name=kind.__name__)} for kind in kinds]
    if not references:
        return {"type": "string"}
    return references[0] if len(references) == 1 else {"anyOf": references}


def _responses(operation: Operation) -> dict[str, Any]:
    content: dict[str, Any] = {operation.media: {"schema": _any_of(operation.replies)}}
    for kind in operation.text:
        content[kind] = {"schema": {"type": "string"}}
    if operation.streams:
        content["text/event-stream"] = {"schema": {}}  # tools differ in what they take an event for
    envelope = {"application/json": {"schema": _any_of(operation.faults)}}
    codes: dict[int, list[str]] = {status: [] for status in operation.statuses}
    if operation.problem is not None:
        envelope[PROBLEM] = {"schema": {"$ref": REFERENCE.format(name=operation.problem.__name__)}}
        codes[422] = ["invalid_value"]
    for row in TABLE.values():
        codes.setdefault(row.status, []).append(row.code)
    responses: dict[str, Any] = {
        str(status): {"description": ", ".join(dict.fromkeys(names)) or "refused", "content": envelope}
        for status, names in sorted(codes.items())
        if status != 499 and (operation.body is not None or status not in (408, 413, 415))
    }
    if operation.not_ready:
        responses["503"] = {"description": "not ready", "content": content}
    if operation.accepts:
        responses["202"] = {"description": "not done yet", "content": content}
    for status in operation.also:
        responses[str(status)] = {"description": "the answer"} | ({} if status == 204 else {"content": content})
    return {str(operation.status): {"description": "the answer", "content": content}, **responses}
