"""Tool calls out of generated text, whatever the pieces it comes in."""

from __future__ import annotations

import json
import re
import secrets
import string

from backends.events import ToolDelta

ALPHABET = string.ascii_letters + string.digits
OPEN = "<tool_call>"
CLOSE = "</tool_call>"
HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)', re.DOTALL)


def call_id() -> str:
    """A new id of a call, as OpenAI makes them."""
    return "call_" + "".join(secrets.choice(ALPHABET) for _ in range(24))


class WholeArguments:
    """The text is the arguments object of one known tool."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.called = False

    def feed(self, text: str) -> list[str | ToolDelta]:
        if not text:
            return []
        if self.called:
            return [ToolDelta(0, arguments=text)]
        self.called = True
        return [ToolDelta(0, call_id(), self.name, text)]

    def flush(self) -> list[str | ToolDelta]:
        return []


class _JsonObject:
    """Finds the end of a JSON object."""

    def __init__(self) -> None:
        self.depth = 0
        self.quoted = False
        self.escaped = False

    def end(self, text: str) -> int:
        """The index after the object's last brace, or -1 when it goes on."""
        for at, character in enumerate(text):
            if self.quoted:
                if self.escaped:
                    self.escaped = False
                elif character == "\\":
                    self.escaped = True
                elif character == '"':
                    self.quoted = False
            elif character == '"':
                self.quoted = True
            elif character in "{[":
                self.depth += 1
            elif character in "}]":
                self.depth -= 1
                if self.depth == 0:
                    return at + 1
        return -1


class Calls:
    """`{"name": ..., "arguments": {...}}`, one after the other, bare or each between the tags of `markup`.

    Bare calls are all there is in the text: what stands between them is dropped. With markup, text outside the tags
    is passed on.
    """

    def __init__(self, *, markup: bool) -> None:
        self.markup = markup
        self.called = False
        self._held = ""
        self._state = "text" if markup else "head"
        self._object = _JsonObject()
        self._position = -1
        self._after_call = False

    def feed(self, text: str) -> list[str | ToolDelta]:
        self._held += text
        found: list[str | ToolDelta] = []
        steps = {"text": self._text, "head": self._head, "body": self._body, "tail": self._tail}
        while self._held and steps[self._state](found):
            pass
        return found

    def flush(self) -> list[str | ToolDelta]:
        held, self._held = self._held, ""
        # After a call white space and the beginning of a tag are no text: they would have led to the next one.
        if self._state != "text" or (self._after_call and OPEN.startswith(held.lstrip())):
            return []
        return [held] if held else []

    def _text(self, found: list[str | ToolDelta]) -> bool:
        before, tag, after = self._held.partition(OPEN)
        keep = 0 if tag else next((n for n in range(len(OPEN) - 1, 0, -1) if before.endswith(OPEN[:n])), 0)
        released = before[: len(before) - keep]
        if self._after_call and not released.strip():
            # White space between two calls is no text; whether it is between two is known when the next begins.
            if not tag:
                return False
            released = ""
        if released:
            found.append(released)
            self._after_call = False
        self._held = after if tag else before[len(before) - keep :]
        if tag:
            self._state = "head"
        return bool(tag)

    def _head(self, found: list[str | ToolDelta]) -> bool:
        if not self.markup:
            self._held = self._held.lstrip("[, \n")
        head = HEAD.match(self._held)
        if head is None:
            return False
        self._position += 1
        self.called = True
        found.append(ToolDelta(self._position, call_id(), json.loads(head[1])))
        self._held = self._held[head.end() :]
        self._object = _JsonObject()
        self._state = "body"
        return True

    def _body(self, found: list[str | ToolDelta]) -> bool:
        end = self._object.end(self._held)
        piece = self._held if end < 0 else self._held[:end]
        self._held = self._held[len(piece) :]
        found.append(ToolDelta(self._position, arguments=piece))
        if end >= 0:
            self._state = "tail"
        return end >= 0

    def _tail(self, found: list[str | ToolDelta]) -> bool:
        ending = "}" + CLOSE if self.markup else "}"
        if len(self._held) < len(ending):
            return False
        self._held = self._held[len(ending) :]
        self._state = "text" if self.markup else "head"
        self._after_call = True
        return True
