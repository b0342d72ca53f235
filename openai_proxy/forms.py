"""Bodies of multipart/form-data (RFC 7578) -> typed values; bounded in parts, headers and text fields: M9.

And forms without files, whose fields lie in a query or in a body of their own.

A file's name is a label for people and never a path.
"""

from __future__ import annotations

import difflib
import re
import urllib.parse
from collections import Counter
from collections.abc import Callable, Mapping, Set
from typing import Any, TypeVar, get_args

import msgspec
from msgspec import Struct, field
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from openai_proxy.config import Limits
from openai_proxy.errors import InvalidRequest, TooManyItems, UnknownParameter

T = TypeVar("T", bound=Struct)

LONGEST_BOUNDARY = 70
HEADERS, HEADER_BYTES = 8, 8192
PAIRS = 100
LONGEST_NAME = 100
# Bytes that are read at once: no other thread gets a turn meanwhile. Only joining lets them all run.
STRIDE = 1 << 18
SHOWN = 100
# What several values are called by clients, and the members of an object.
SEVERAL = "[]"
MEMBER = re.compile(r"([^\[\]]+)\[([^\[\]]+)\](?:\[([^\[\]]+)\])?")


class Part(Struct):
    """One part: a file where the client names one, else a field of text; `member` is its place in the object `name`."""

    name: str = ""
    member: tuple[str, ...] = ()
    file: str | None = None
    data: bytes = b""
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    headers: dict[str, bytes] = field(default_factory=dict)


def boundary_of(content_type: bytes) -> bytes | None:
    """The boundary that a Content-Type names; None when it is not that of a form, or the boundary is not one."""
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    return boundary if kind == b"multipart/form-data" and 0 < len(boundary) <= LONGEST_BOUNDARY else None


def read_form(
    body: bytes, boundary: bytes, kind: type[T], limits: Limits, look: Callable[[Part], None] = lambda _: None
) -> tuple[T, frozenset[str]]:
    """The form as `kind`, and the names of the fields it sets; empty text sets nothing. Bytes are files.

    An object is JSON, or fields `name[member]` and `name[member][member]` as the `openai` SDK writes it. `look` is
    given each part, for what files are called. Raises InvalidRequest, TooManyItems or UnknownParameter, each naming the
    field.
    """
    given: dict[str, list[Part]] = {}
    known = {each.encode_name: each for each in msgspec.structs.fields(kind)}
    objects = frozenset(name for name, each in known.items() if _object(each.type))
    several = {_plain(name) for name, each in known.items() if each.type == list[bytes]}
    for part in _Reader(limits, several).parts(body, boundary):
        look(part)
        if (nested := MEMBER.fullmatch(part.name)) and nested[1] in objects:
            part.name, part.member = nested[1], tuple(filter(None, nested.groups()[1:]))
        name = part.name if part.name in known else part.name + SEVERAL
        if name not in known:
            near = difflib.get_close_matches(part.name[:SHOWN], known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            shown = part.name[:SHOWN]
            raise UnknownParameter(f"{shown} is not a known parameter.{hint}", param=shown)
        if part.data or part.file is not None:
            given.setdefault(name, []).append(part)
    values = {known[name].name: _value(known[name], parts) for name, parts in given.items()}
    for name, each in known.items():
        if each.required and name not in given:
            name = _plain(name)
            raise InvalidRequest(f"{name} is required.", param=name)
    return kind(**values), frozenset(values)


def read_fields(body: bytes, content_type: bytes, limits: Limits) -> Mapping[str, str | bytes]:
    """The fields of any form as they are, files as bytes; of equal names the last.

    Raises InvalidRequest or TooManyItems.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        return read_pairs(body)
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= LONGEST_BOUNDARY:
        raise InvalidRequest("The form has no boundary, or a bad one.")
    parts = _Reader(limits, frozenset()).parts(body, boundary)
    return {part.name: _text(part, part.name[:SHOWN]) if part.file is None else bytes(part.data) for part in parts}


def read_pairs(text: bytes) -> dict[str, str]:
    """The fields of a query, or of a body of the type application/x-www-form-urlencoded; of equal names the last.

    Raises InvalidRequest or TooManyItems.
    """
    if text.count(b"&") >= PAIRS:
        raise TooManyItems(f"A form has at most {PAIRS} fields.")
    try:
        return dict(urllib.parse.parse_qsl(text.decode("ascii"), keep_blank_values=True, errors="strict"))
    except ValueError as error:
        raise InvalidRequest("The query or the form is not UTF-8.") from error


def _object(kind: Any) -> bool:
    """Whether a value of this kind may be an object."""
    return any(isinstance(arm, type) and issubclass(arm, Struct) for arm in (kind, *get_args(kind)))


def _value(wanted: msgspec.structs.FieldInfo, parts: list[Part]) -> Any:
    name = wanted.encode_name
    members = [part.member for part in parts]
    if any(members) and len({*members} - {()}) == len(members):
        return _converted(_nested(parts, name), wanted)
    if wanted.type == list[bytes]:
        return [_file(part, name) for part in parts]
    if name.endswith(SEVERAL):
        return _converted([_text(part, name) for part in parts], wanted)
    if len(parts) > 1:
        raise InvalidRequest(f"{name} is there {len(parts)} times.", param=name)
    if wanted.type in (bytes, bytes | None):
        return _file(parts[0], name)
    return _converted(_text(parts[0], name), wanted)


def _nested(parts: list[Part], name: str) -> dict[str, Any]:
    whole: dict[str, Any] = {}
    for part in parts:
        *way, last = part.member
        inner = whole
        for member in way:
            inner = inner.setdefault(member, {})
            if not isinstance(inner, dict):
                raise InvalidRequest(f"{name}[{member[:SHOWN]}] is text and an object.", param=name)
        inner[last] = _text(part, name)
    return whole


def _file(part: Part, name: str) -> bytes:
    if part.file is None:
        name = _plain(name)
        raise InvalidRequest(f"{name} must be a file: a part with a filename.", param=name)
    return part.data


def _text(part: Part, name: str) -> str:
    if part.file is not None:
        raise InvalidRequest(f"{name} must be text, not a file.", param=name)
    try:
        return part.data.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{name} is not UTF-8.", param=name) from error


def _converted(value: Any, wanted: msgspec.structs.FieldInfo) -> Any:
    try:
        if isinstance(value, str) and value.startswith("{") and _object(wanted.type):
            return msgspec.json.decode(value, type=wanted.type)
        return msgspec.convert(value, wanted.type, strict=False)
    except (msgspec.DecodeError, UnicodeEncodeError) as error:
        name = wanted.encode_name
        raise InvalidRequest(f"{name}: {str(error)[:SHOWN]}", param=name) from error


def _plain(name: str) -> str:
    return name.removesuffix(SEVERAL)


class _Reader:
    """Takes the parser's calls, which come part by part. `several` are fields that hold as many files as a chat."""

    def __init__(self, limits: Limits, several: Set[str]) -> None:
        self.limits = limits
        self.several = several
        self.counts: Counter[str] = Counter()
        self.found: list[Part] = []
        self.header = b""
        self.value = b""
        self.ended = False

    def parts(self, body: bytes, boundary: bytes) -> list[Part]:
        """All parts. Raises InvalidRequest or TooManyItems."""
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": self._header,
                "on_header_value": self._value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_end,
                "on_part_data": self._data,
                "on_part_end": self._part_end,
                "on_end": self._end,
            },
            max_header_count=HEADERS,
            max_header_size=HEADER_BYTES,
        )
        try:
            for start in range(0, len(body), STRIDE):
                parser.write(body[start : start + STRIDE])
            parser.finalize()
        except FormParserError as error:
            raise InvalidRequest("The form is malformed.") from error
        if not self.ended:
            raise InvalidRequest("The form has no end.")
        return self.found

    def _begin(self) -> None:
        self.found.append(Part())

    def _header(self, data: bytes, start: int, end: int) -> None:
        self.header += data[start:end]

    def _value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def _header_end(self) -> None:
        self.found[-1].headers[self.header.decode("latin-1").lower()] = self.value
        self.header = self.value = b""

    def _headers_end(self) -> None:
        part = self.found[-1]
        kind, options = parse_options_header(part.headers.get("content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise InvalidRequest("A part of the form has no name.")
        part.name = options[b"name"].decode(errors="replace")
        if b"filename" in options:
            part.file = label(options[b"filename"].decode(errors="replace"))
        self._count(_plain(part.name))

    def _count(self, name: str) -> None:
        of_several = name in self.several
        self.counts[name if of_several else ""] += 1
        if of_several and self.counts[name] > self.limits.media:
            raise TooManyItems(f"{name} is there more than {self.limits.media} times.", param=name)
        if self.counts[""] > self.limits.form_parts:
            beside = f" beside {' and '.join(self.several)}" if self.several else ""
            raise TooManyItems(f"A form has at most {self.limits.form_parts} parts{beside}.")

    def _data(self, data: bytes, start: int, end: int) -> None:
        part = self.found[-1]
        part.size += end - start
        if part.file is None and part.size > self.limits.form_field:
            shown = part.name[:SHOWN]
            raise InvalidRequest(f"{shown} is longer than {self.limits.form_field} bytes.", param=shown)
        part.pieces.append(data[start:end])

    def _part_end(self) -> None:
        part = self.found[-1]
        part.data, part.pieces = b"".join(part.pieces), []

    def _end(self) -> None:
        self.ended = True


def label(name: str) -> str:
    """A file's name as it may be shown: `[A-Za-z0-9._-]`, at most 100 of them."""
    return re.sub(r"[^A-Za-z0-9._-]", "", name)[:LONGEST_NAME]
