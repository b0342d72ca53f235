"""JSON body -> typed value, with the exact place of what is wrong. Bounds (RFC 8259 leaves them to us): S8.

The typed decoder is the fast way and takes no depth, NaN, lone surrogate or bad UTF-8 beyond its types. Only when it
refuses is the body walked again, to name the field: that never depends on a library's wording.
"""

from __future__ import annotations

import asyncio
import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from enum import Enum
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Struct

from openai_proxy.errors import InvalidJson, InvalidRequest, UnknownParameter

T = TypeVar("T", bound=Struct)
P = ParamSpec("P")
R = TypeVar("R")

OFF_LOOP = 256_000
DEEPEST = 64
OPENING = re.compile(rb"[ \t\r\n]*\{[ \t\r\n]*")
KEY = re.compile(rb'("(?:[^"\\]|\\.)*")[ \t\r\n]*:[ \t\r\n]*')
BETWEEN = re.compile(rb"[ \t\r\n]*[,}][ \t\r\n]*")
LONG = 19
NO_DIGITS = bytes(set(range(256)) - set(b"0123456789"))
LONG_INTEGER = re.compile(rb"(?<![0-9.eE+])-?[0-9]{19,}(?![0-9.eE])")
TOP = msgspec.json.Decoder(dict[str, msgspec.Raw])
BRACKETS = bytes.maketrans(b"{}", b"[]")
NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
SHOWN = 100


class Given(dict[str, msgspec.Raw]):
    """The fields that are there and not null, undecoded. `body` has them and nothing else; None where it has nulls."""

    body: bytes | None = None


@cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


class Foreign(Exception):
    """The body is that of another protocol's client."""


async def decode(
    body: bytes, kind: type[T], foreign: Callable[[bytes], bool] = lambda _: False, others: Collection[str] = ()
) -> tuple[T, Given]:
    """The body as `kind`, and the fields it sets; large bodies are decoded off the event loop.

    Who mistypes a name may have meant one of `others`, too, which make a body foreign.

    Raises InvalidJson or InvalidRequest; or Foreign for what is not of that kind, but `foreign`.
    """
    return await beside(body, decode_now, body, kind, foreign, others)


async def beside(body: bytes, work: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
    """`work` on what a body holds, off the event loop if the body is large."""
    if len(body) > OFF_LOOP:
        return await asyncio.to_thread(work, *args, **named)
    return work(*args, **named)


def decode_now(
    body: bytes, kind: type[T], foreign: Callable[[bytes], bool] = lambda _: False, others: Collection[str] = ()
) -> tuple[T, Given]:
    """The same, on the spot."""
    try:
        value: T = _decoder(kind).decode(body)
        top = TOP.decode(body)
    except msgspec.ValidationError:
        if foreign(body):  # before the search for what is wrong, which takes its time
            raise Foreign from None
        raise _located(body, kind, others) from None
    except RecursionError:
        raise _too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InvalidJson from None
    if not _plainly_single(body, top):
        _no_duplicates(body, top)
    bare = _bare(body)
    if bare.count(b"{") + bare.count(b"[") > DEEPEST or len(bare.translate(None, NO_DIGITS)) >= LONG:
        _bounded(bare)
    given = Given(top)
    if b"null" in bare:
        given = Given({name: raw for name, raw in top.items() if len(raw) != 4 or bytes(raw) != b"null"})
    if len(given) == len(top):
        given.body = body
    return value, given


def _bare(body: bytes) -> bytes:
    """Valid JSON with 0 for each string: pictures and long texts, nearly all of a body, are passed over fast."""
    if b"\\" in body:
        body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    # A split looks at each byte, a search at many at once.
    return b"0".join(body.split(b'"')[::2] if len(body) <= OFF_LOOP else _between_strings(body))


def _between_strings(body: bytes) -> Iterator[bytes]:
    end = 0
    while (begin := body.find(b'"', end)) >= 0:
        yield body[end:begin]
        end = body.find(b'"', begin + 1) + 1
    yield body[end:]


def _too_deep() -> InvalidJson:
    return InvalidJson(f"The body is nested deeper than {DEEPEST} levels.")


def _bounded(bare: bytes) -> None:
    """Depth and integers of valid JSON without its strings, for the places that take any value."""
    brackets = bare.translate(BRACKETS, NO_BRACKETS)
    for _ in range(DEEPEST):
        brackets = brackets.replace(b"[]", b"")  # peels off the innermost level
    if brackets:
        raise _too_deep()
    for number in LONG_INTEGER.findall(bare):
        if len(number) > 20 or not -(2**63) <= int(number) < 2**63:
            raise InvalidJson("The body has an integer beyond 64 bits.")


def _plainly_single(body: bytes, top: Mapping[str, msgspec.Raw]) -> bool:
    """The common cases, decided cheaply: the pairs add up to the whole of a compact body, as the SDK sends it, or every
    name stands in the body once and none can hide behind an escape. The names are known fields, so there are few.
    """
    punctuation = len('{"":') * len(top) + len("}")
    if len(body) == punctuation + sum(map(len, top)) + sum(map(len, top.values())):
        return True
    return b"\\u" not in body and all(body.count(b'"%s"' % name.encode()) == 1 for name in top)


def _no_duplicates(body: bytes, top: Mapping[str, msgspec.Raw]) -> None:
    """Walk the pairs of the top level. `top` holds the last value of each name, so that any other one differs."""
    opening = OPENING.match(body)
    at = opening.end() if opening else 0
    seen: set[str] = set()
    while (key := KEY.match(body, at)) is not None:
        name: str = msgspec.json.decode(key[1])
        value = bytes(top[name])
        if name in seen or not body.startswith(value, key.end()):
            raise InvalidJson(f"The body has {name!r:.100} twice.", param=name[:100])
        seen.add(name)
        separator = BETWEEN.match(body, key.end() + len(value))
        if separator is None:  # an earlier value that only begins like the last one
            raise InvalidJson(f"The body has {name!r:.100} twice.", param=name[:100])
        at = separator.end()


def _located(body: bytes, kind: type[Struct], others: Collection[str]) -> InvalidRequest:
    try:
        value = msgspec.json.decode(body)
        if not isinstance(value, dict):
            return InvalidJson("The body must be a JSON object.")
        # Nothing wrong with what is left once the last of equal names has won: so there were such.
        return locate(value, kind, others=others) or InvalidJson("An object in the body has a name twice.")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return InvalidJson()
    except RecursionError:
        return _too_deep()


def locate(value: Any, kind: Any, path: str = "", others: Collection[str] = ()) -> InvalidRequest | None:
    """What is wrong with a decoded value: an error whose `param` is the innermost place, or None."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        for name, inner, inner_kind in _children(value, kind):
            found = locate(inner, inner_kind, f"{path}.{name}" if path else name)
            if found is not None:
                return found
        path = path[:200]
        wrong = f"{path}: {str(error)[:SHOWN]}{_choices(value, kind)}"
        return _wrong_keys(value, kind, path, others) or InvalidRequest(wrong, param=path or None)
    return None


def _choices(value: Any, kind: Any) -> str:
    """What a plain value may be, where that is one of a few words."""
    known = list(map(str, _words(kind)))
    return f". Valid are: {', '.join(known)}." if known and not isinstance(value, dict | list) else ""


def _words(kind: Any) -> Iterator[Any]:
    if get_origin(kind) is Literal:
        yield from get_args(kind)
    elif get_origin(kind) is Annotated:
        yield from _words(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for arm in get_args(kind):
            yield from _words(arm)
    elif isinstance(kind, type) and issubclass(kind, Enum):
        yield from (each.value for each in kind)


def _children(value: Any, kind: Any) -> Iterator[tuple[str, Any, Any]]:
    kind = _arm(value, kind)
    arguments = get_args(kind)
    if isinstance(kind, type) and issubclass(kind, Struct) and isinstance(value, dict):
        hints = get_type_hints(kind, include_extras=True)
        for field in msgspec.structs.fields(kind):
            if field.encode_name in value:
                yield field.encode_name, value[field.encode_name], hints[field.name]
    elif isinstance(value, list) and get_origin(kind) in (list, tuple):
        index = _first_wrong(value, arguments[0])
        yield from ((str(index), item, arguments[0]) for item in value[index : index + 1])
    elif isinstance(value, dict) and get_origin(kind) is dict:
        names = list(value)
        index = _first_wrong(list(value.values()), arguments[1])
        yield from ((f"{name:.100}", value[name], arguments[1]) for name in names[index : index + 1])


def _first_wrong(items: list[Any], kind: Any) -> int:
    """The place of the first item that is not of a kind, by halving: lists may be long. Past the end if all are."""
    first, last = 0, len(items)
    while first < last:
        middle = (first + last) // 2
        try:
            msgspec.convert(items[first : middle + 1], list[kind])
        except msgspec.ValidationError:
            last = middle
        else:
            first = middle + 1
    return first


def _arm(value: Any, kind: Any) -> Any:
    """The arm of a union that a value of this shape can only be meant for, without annotations."""
    if get_origin(kind) is Annotated:
        return _arm(value, get_args(kind)[0])
    if get_origin(kind) not in (Union, UnionType):
        return kind
    arms = [_arm(value, arm) for arm in get_args(kind)]
    if isinstance(value, list):
        return next((arm for arm in arms if get_origin(arm) in (list, tuple)), None)
    structs = [arm for arm in arms if isinstance(arm, type) and issubclass(arm, Struct)]
    if not isinstance(value, dict) or not structs:
        return next((arm for arm in arms if get_origin(arm) is dict), None)
    tagged = [arm for arm in structs if _tag(arm) == (value.get(_tag_field(arm)))]
    return tagged[0] if tagged else structs[0] if len(structs) == 1 else None


def _tags(kind: Any) -> dict[str, list[str]]:
    """The field that tells the structs of a union apart, and its values."""
    structs = [arm for arm in get_args(kind) if isinstance(arm, type) and issubclass(arm, Struct)]
    return {_tag_field(structs[0]): sorted(str(_tag(arm)) for arm in structs)} if len(structs) > 1 else {}


def _tag(kind: type[Struct]) -> object:
    return kind.__struct_config__.tag


def _tag_field(kind: type[Struct]) -> str:
    return kind.__struct_config__.tag_field or ""


def _wrong_keys(value: Any, kind: Any, path: str, others: Collection[str]) -> InvalidRequest | None:
    """The field too many, or the one that is missing, when that is all that is wrong with an object."""
    prefix = f"{path}." if path else ""
    tags = _tags(kind) if isinstance(value, dict) else {}
    for field, known in tags.items():
        if value.get(field) not in known:
            return InvalidRequest(f"{prefix}{field} must be one of {', '.join(known)}.", param=f"{prefix}{field}")
    kind = _arm(value, kind)
    if not (isinstance(kind, type) and issubclass(kind, Struct) and isinstance(value, dict)):
        return None
    known_names = [member.encode_name for member in msgspec.structs.fields(kind)]
    for name in value:
        if name not in known_names and name != kind.__struct_config__.tag_field:
            near = difflib.get_close_matches(name[:SHOWN], [*known_names, *others], n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            return UnknownParameter(
                f"{prefix}{name:.100} is not a known parameter.{hint}", param=f"{prefix}{name:.100}"
            )
    for member in msgspec.structs.fields(kind):
        if member.required and member.encode_name not in value:
            return InvalidRequest(f"{prefix}{member.encode_name} is required.", param=f"{prefix}{member.encode_name}")
    return None
