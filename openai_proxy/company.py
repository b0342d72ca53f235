"""What one process knows of the others that serve the same: a model's company, and the fleet of all of them.

Where one process serves alone, a model has a `Company` that stands for nobody, and there is no fleet.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from msgspec import Struct

from backends import State, UpstreamState
from openai_proxy.admission import Admission
from openai_proxy.image_files import Kept
from openai_proxy.logins import Login

Order: TypeAlias = Literal["load", "unload", "sleep", "wake"]
Steer: TypeAlias = Literal["drain", "undrain"]


class Standing(Struct, frozen=True):
    """A model's state; whether it answers, if need be after it was brought back; whether an operator unloaded it."""

    state: State
    answers: bool
    withdrawn: bool


class Company:
    """One model in the other processes: here there is none. `created` is when the model was taken on, in Unix seconds.

    With others, `admission` shares their slots and their queue, and `together` is how the model stands in all of them.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.created = int(time.time())

    def admission(self, slots: int, queue: int, queue_tokens: int) -> Admission:
        return Admission(slots, queue, queue_tokens)

    def tell(self, standing: Standing) -> None:
        """Let the others know how the model stands here."""

    def end(self) -> None:
        """The model is gone from this process, for good."""

    def together(self, standing: Standing) -> Standing:
        """How it stands everywhere, when it stands like this here."""
        return standing


FindCompany: TypeAlias = Callable[[str], Company]


class Fleet(Protocol):
    """The processes that serve together, as one of them sees it."""

    def metrics(self) -> Awaitable[bytes]:
        """The text exposition of all of them together."""

    def order(self, name: str, order: Order, timeout: float) -> Awaitable[bool]:
        """Have the others carry an order out; False when one still had not after `timeout` seconds.

        Raises Unavailable or WrongState with the reason of one that could not.
        """

    def upstreams(
        self, name: str, steer: tuple[Steer, str] | None = None
    ) -> Awaitable[Sequence[Sequence[UpstreamState]]]:
        """What each of the others knows of a model's upstreams, after it carried out an order to one of them."""

    def image(self, name: str) -> Awaitable[Kept | None]:
        """The picture of that name, if one of the others keeps it."""

    def login(self, session: str) -> Awaitable[Login | None]:
        """The login of that key, if one of the others gave it."""

    def ask(self, what: str, content: object) -> Awaitable[Sequence[Any]]:
        """What each of the others answers by what a dialect has put there under that name (see `Edge.answering`); None
        for one that did not in time.
        """

    def restart(self) -> Awaitable[None]:
        """Begin to replace each by a new one, without losing a request. Raises WrongState."""
