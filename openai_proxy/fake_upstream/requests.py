"""A request as it came, and the refusal of one."""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import Struct

from openai_proxy.fake_upstream.faults import NONE, Fault
from openai_proxy.fake_upstream.script import Script

Body = TypeVar("Body")


class Refusal(Exception):
    """Answered with this status and an error of OpenAI's shape."""

    def __init__(self, status: int, message: str, code: str | None = None, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.param = param


class Request(Struct):
    """Header names are lower-case; `chunked`: whether the client knows chunks; `number` counts all requests from 1."""

    method: str
    path: str
    query: str
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    keep: bool = True
    chunked: bool = True
    number: int = 0

    def header(self, name: bytes) -> str | None:
        """The first header of this name."""
        return next((value.decode("latin-1") for each, value in self.headers if each == name), None)


class Order(Struct):
    """A request with the script and the fault that it meets; `name` is the upstream's."""

    request: Request
    script: Script
    name: str
    models: tuple[str, ...]
    fault: Fault = NONE

    def decoded(self, shape: type[Body]) -> Body:
        """The body in this shape. Raises Refusal."""
        try:
            return msgspec.json.decode(self.request.body, type=shape)
        except msgspec.DecodeError as error:
            raise Refusal(400, f"The body is not right: {error}", "invalid_value") from error

    def model(self, name: str | None) -> str:
        """The model of this name. Raises Refusal."""
        if not name:
            raise Refusal(400, "you must provide a model parameter", param="model")
        if name not in self.models and "*" not in self.models:
            raise Refusal(404, f"The model `{name[:100]}` does not exist", "model_not_found", "model")
        return name
