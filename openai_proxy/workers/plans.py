"""Which block of shared cells belongs to which model."""

from __future__ import annotations

import time

from backends import shareable
from openai_proxy.config import Config, ModelConfig
from openai_proxy.workers.board import BLOCKS, Board, Plan, Seat


class Plans:
    """Gives out the blocks. A model that a new configuration leaves as it is keeps its own."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._models: dict[str, ModelConfig] = {}
        self.plan: Plan = {}

    def make(self, config: Config) -> Plan:
        """The plan of a configuration, which is in force from now on.

        A block that is not needed any more is used again once nothing runs or waits in it, and not at once. Raises
        ValueError when there are too many models, or one that several workers cannot serve: a configuration that is
        read anew may speak of one worker, but there still are as many as there were.
        """
        for name, model in config.models.items():
            if not shareable(model.backend):
                raise ValueError(f'the model "{name}", backend "{model.backend}", cannot be served by several workers')
        kept = {name: self.plan[name] for name, model in config.models.items() if self._models.get(name) == model}
        taken = {seat.block for seat in (*self.plan.values(), *kept.values())}
        free = iter(block for block in range(BLOCKS) if block not in taken and self._board.unused(block))
        plan = dict(kept)
        for name in config.models:
            if name not in kept:
                block = next(free, None)
                if block is None:
                    raise ValueError(f"several workers can serve {BLOCKS} models, those that end counted too")
                plan[name] = Seat(block, int(time.time()))
        self.plan = plan
        self._models = dict(config.models)
        return plan
