"""A page for people at `/docs`, made from the OpenAPI document: no script, nothing fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{background:#8881;padding:.1rem .3rem;border-radius:.2rem}table{border-collapse:collapse;width:100%}"
    "td,th{text-align:left;vertical-align:top;padding:.2rem .6rem;border-bottom:1px solid #8884}"
    "summary{cursor:pointer;padding:.4rem 0}b{display:inline-block;min-width:3.5rem}:root{color-scheme:light dark}"
)
BOUNDS = {"minimum": "≥", "maximum": "≤", "exclusiveMinimum": ">", "maxItems": "items ≤", "maxLength": "characters ≤"}
HUGE = 2**31 - 1
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


def page(document: Mapping[str, Any]) -> str:
    """The document as HTML."""
    title = escape(document["info"]["title"])
    return "".join(
        [
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>",
            f"<meta name=viewport content='width=device-width'><style>{STYLE}</style><h1>{title}</h1>",
            f"<p>{escape(document['info']['description'])} For programs: <a href=/openapi.json>openapi.json</a>.",
            *_operations(document),
            "</html>",
        ]
    )


def _operations(document: Mapping[str, Any]) -> Iterator[str]:
    schemas = document["components"]["schemas"]
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            summary = f"<b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation['summary'])}"
            yield f"<details><summary>{summary}</summary>"
            body = operation.get("requestBody")
            if body is not None:
                (content,) = body["content"].values()
                yield from _fields("Body", _resolved(content["schema"], schemas))
            answer = operation["responses"][min(operation["responses"])]["content"].get("application/json")
            if answer is not None:
                for schema in answer["schema"].get("anyOf", [answer["schema"]]):
                    yield from _fields("Answer", _resolved(schema, schemas))
            yield "</details>"


def _fields(title: str, schema: Mapping[str, Any]) -> Iterator[str]:
    if "properties" not in schema:
        return
    required = schema.get("required", ())
    yield f"<h3>{title}</h3><p>{escape(schema.get('description', ''))}<table><tr><th>field<th>type<th>bounds"
    for name, field in schema["properties"].items():
        mark = " (required)" if name in required else ""
        yield f"<tr><td><code>{escape(name)}</code>{mark}<td>{escape(_type(field))}<td>{escape(_bounds(field))}"
    yield "</table>"


def _resolved(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = schema.get("$ref")
    return schemas[reference.rpartition("/")[2]] if reference else schema


def _type(field: Mapping[str, Any]) -> str:
    if "anyOf" in field:
        return " or ".join(_type(arm) for arm in field["anyOf"] if arm.get("type") != "null")
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    if "enum" in field:
        return " or ".join(repr(value) for value in field["enum"] if value is not None)
    if field.get("type") == "array":
        return f"list of {_type(field.get('items', {}))}"
    return str(field.get("type", "any"))


def _bounds(field: Mapping[str, Any]) -> str:
    arms = [field, *field.get("anyOf", ())]
    found = [f"{sign} {arm[key]}" for arm in arms for key, sign in BOUNDS.items() if arm.get(key, HUGE) < HUGE]
    return ", ".join(dict.fromkeys(found))
