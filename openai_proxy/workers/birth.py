"""How a worker comes into being: what it is given, and how its process gets out of the supervisor's loop."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from openai_proxy.company import Order, Steer
from openai_proxy.config import Config
from openai_proxy.keys import Keys
from openai_proxy.workers.board import Board, Plan


class Given(Struct, frozen=True):
    """The configuration and what belongs to it.

    `orders` are the last ones of operators, by the model's name; `steered` those to upstreams, by model and upstream.
    """

    config: Config
    keys: Keys
    plan: Plan
    revision: int
    orders: Mapping[str, Order]
    steered: Mapping[tuple[str, str], Steer]


class Birth(Struct, frozen=True):
    """What a worker begins with: its number from 1, its row of the board, its end of the channel, and all listeners.

    `listeners` has for each number the sockets of its own. One of the `first` takes connections at once, like a single
    process; one that comes in another's place only when its models have settled. All have the same `secret`.
    """

    number: int
    row: int
    channel: socket.socket
    board: Board
    listeners: Mapping[int, Sequence[socket.socket]]
    given: Given
    descriptors: int
    first: bool
    secret: bytes


class Born(BaseException):
    """This process is a new worker: it leaves the supervisor's loop at once, wherever that is."""

    def __init__(self, birth: Birth) -> None:
        super().__init__()
        self.birth = birth


class Child:
    """A worker as the supervisor sees it. `figures` are the last it told, `tended` others' listeners it takes from."""

    def __init__(self, number: int, row: int, pid: int, *, first: bool) -> None:
        self.number = number
        self.row = row
        self.pid = pid
        self.first = first
        self.channel: Any = None
        self.phase = "starting"
        self.born = 0.0
        self.figures: dict[str, Any] = {}
        self.tended: list[int] = []
