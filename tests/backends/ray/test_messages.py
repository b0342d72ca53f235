"""What travels: every event and every error arrives as it was sent. Needs no Ray."""

from __future__ import annotations

import inspect
from typing import Any, get_args

import pytest

from backends import errors
from backends.errors import BackendError, Refused, Unavailable
from backends.events import Alternative, Delta, Event, Finish, TokenLogprob, ToolDelta, Usage
from backends.ray.messages import Message, decode, encode, raised, told

KINDS = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, BackendError)]


def test_events_arrive_as_they_were_sent() -> None:
    chosen = TokenLogprob("a", -0.5, b"\xff", (Alternative("b", float("-inf"), b"b"),))
    events: list[Message] = [
        Delta("x", 1, "y", ToolDelta(0, "id", "name", "{}"), (chosen, chosen)),
        Finish("stop", 1),
        Usage(1, 2, 3, 4, 5.5),
    ]
    assert list(decode(encode(events))) == events


def test_every_event_has_a_tag() -> None:
    assert all(kind.__struct_config__.tag for kind in get_args(Event))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_errors_arrive_as_they_were_raised(kind: type[BackendError]) -> None:
    needed = {name: each for name, each in inspect.signature(kind.__init__).parameters.items() if name != "self"}
    values: dict[str, Any] = {
        "status": 400,
        "kind": "k",
        "code": "c",
        "retry_after": 7.5,
        "param": "p",
        "message": "why",
    }
    error = kind(**{name: values.get(name, each.default) for name, each in needed.items()})
    [failed] = decode(encode([told(error)]))
    arrived = raised(failed)  # type: ignore[arg-type]  # what else there is are events
    assert type(arrived) is kind
    assert vars(arrived) == vars(error)
    assert str(arrived) == "why"


def test_an_engines_own_error_arrives_as_that_of_the_tree() -> None:
    class Own(Unavailable):
        """A backend's own."""

    error = Own("why", retry_after=3.0)
    error.secret = object()  # type: ignore[attr-defined]
    arrived = raised(told(error))
    assert type(arrived) is Unavailable
    assert arrived.retry_after == 3.0
    assert type(raised(told(Refused(param="x")))) is Refused
