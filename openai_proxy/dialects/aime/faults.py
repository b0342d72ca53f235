"""What goes wrong, as AIME's clients are told it. The phrases are the real server's: clients look for some of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, structs

from openai_proxy.errors import Fault, describe
from openai_proxy.faults import Shape
from openai_proxy.wire import Reply, fault_headers

UNKNOWN_VERSION = 1
NOT_REGISTERED = "Client session authentication key not registered in API Server"


class Refusal(Exception):
    """A request that is refused with that status; `error` is a sentence or a list of them, `more` goes with it."""

    def __init__(self, status: int, error: str | list[str], **more: Any) -> None:
        super().__init__(error)
        self.status = status
        self.error = error
        self.more = more


class NotRegistered(Refusal):
    """Neither a login nor a key that is known: this phrase makes the clients say that a login is needed."""

    def __init__(self) -> None:
        super().__init__(401, NOT_REGISTERED)


class NotLoggedIn(Refusal):
    """A login without a key that is known."""

    def __init__(self) -> None:
        super().__init__(401, "API key missing or not valid")


class NotAuthorized(Refusal):
    """The key or the login is good, but not for this endpoint."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(402, f"Client not authorized for endpoint {endpoint}!")


class FaultBody(Struct):
    """What every refusal looks like."""

    success: bool
    error: str | list[str]
    ep_version: int
    job_state: str | UnsetType = UNSET


def refused(refusal: Refusal, version: int = UNKNOWN_VERSION) -> Reply:
    """The answer to a request that is refused."""
    return Reply(msgspec.json.encode(FaultBody(False, refusal.error, version, **refusal.more)), refusal.status)


def failed(error: Exception, request_id: str, version: int, queued: int, names: Mapping[str, str]) -> Reply:
    """The answer where an engine or the server refuses: of `queued` jobs that may wait all do, or what clients know by
    `names` of their own has a wrong value.
    """
    fault = describe(error, request_id)
    if fault.status == 429:
        return refused(Refusal(400, f"Job queue reached max length {queued}!"), version)
    told = [in_their_words(fault, names)] if fault.status == 400 else fault.message
    reply = refused(Refusal(fault.status, told), version)
    reply.headers = tuple(fault_headers(fault))
    return reply


def in_their_words(fault: Fault, names: Mapping[str, str]) -> str:
    """The message with the name that the client used for what is wrong."""
    param = (fault.param or "").partition(".")[0].removesuffix("[]")
    name = names.get(param, param)
    if not name or re.search(rf"\b{re.escape(name)}\b", fault.message):
        return fault.message
    message, found = re.subn(rf"\b{re.escape(param)}\b", name, fault.message, count=1)
    return message if found else f"{name}: {fault.message}"


def _rendered(fault: Fault) -> bytes:
    return refused(Refusal(fault.status, fault.message)).body


def _reworded(fault: Fault) -> Fault:
    """A key in the head that is not good is told as one among the parameters is."""
    return structs.replace(fault, message=NOT_REGISTERED) if fault.code == "invalid_api_key" else fault


# What goes wrong before a request is read, or by a fault of ours.
SHAPE = Shape(_rendered, reword=_reworded)
