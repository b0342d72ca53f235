"""A model in all workers: slots and queue that hold for all of them, and one state that each of them tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from backends import State, StateName
from openai_proxy.admission import Admission
from openai_proxy.company import Company, Standing
from openai_proxy.workers.board import CHANGED, STANDING, Plan, Post, Seat, column
from openai_proxy.workers.slots import SharedAdmission

# The first of these that any worker is in is the state of all. On its way before ready: who waits for the model to
# answer has to wait for the last worker. Ready before asleep: requests to either are answered.
ORDER: Sequence[StateName] = (
    "failed",
    "restarting",
    "stopping",
    "loading",
    "stopped",
    "ready",
    "sleeping",
    "unloaded",
)
NUMBERS = {name: number for number, name in enumerate(get_args(StateName), 1)}
NAMES = {number: name for name, number in NUMBERS.items()}
ANSWERS, WITHDRAWN, NAME = 16, 32, 15


class Companies:
    """Finds a model's company by the plan of the configuration that is in force, or is being taken."""

    def __init__(self, post: Post, plan: Plan) -> None:
        self.post = post
        self.plan = plan

    def __call__(self, name: str) -> Company:
        return SharedCompany(name, self.post, self.plan[name])


class SharedCompany(Company):
    """One model in all workers. A standing is one number in the model's block."""

    def __init__(self, name: str, post: Post, seat: Seat) -> None:
        super().__init__(name)
        self.created = seat.created
        self._post = post
        self._block = seat.block
        self._column = column(seat.block, STANDING)
        self._told = 0
        self._ended = False

    def admission(self, slots: int, queue: int, queue_tokens: int) -> Admission:
        return SharedAdmission(slots, queue, queue_tokens, self._post, self._block)

    def tell(self, standing: Standing) -> None:
        number = NUMBERS[standing.state.name] + ANSWERS * standing.answers + WITHDRAWN * standing.withdrawn
        if number != self._told and not self._ended:
            self._told = number
            self._post.write(self._column, number)
            self._post.call_others(CHANGED)

    def end(self) -> None:
        self._ended = True
        self._post.write(self._column, 0)

    def together(self, standing: Standing) -> Standing:
        """Workers that do not take connections, or not any more, do not count."""
        numbers = self._post.cells.read(self._column)
        others = [numbers[row] for row in self._post.board.serving() if row != self._post.row and numbers[row]]
        if not others:
            return standing
        names = {standing.state.name, *(NAMES[number & NAME] for number in others)}
        name = next(each for each in ORDER if each in names)
        return Standing(
            standing.state if name == standing.state.name else State(name),
            standing.answers and all(number & ANSWERS for number in others),
            standing.withdrawn and all(number & WITHDRAWN for number in others),
        )
