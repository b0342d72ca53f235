"""The process that starts the workers, tells them what signals and operators want, and serves nothing itself.

It has no threads and no event loop, since it forks: one thing is done after the other, and none of them waits for a
worker.
"""

from __future__ import annotations

import logging
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from openai_proxy.company import Order, Steer
from openai_proxy.config import Config
from openai_proxy.errors import WrongState
from openai_proxy.keys import Keys
from openai_proxy.metrics import Metrics
from openai_proxy.process import FORCED, HARD_END, LAST_WORDS, Read, differences
from openai_proxy.workers.birth import Birth, Born, Child, Given
from openai_proxy.workers.board import Board
from openai_proxy.workers.crew import Crew, how
from openai_proxy.workers.frames import Message
from openai_proxy.workers.gatherings import Gatherings
from openai_proxy.workers.plans import Plans
from openai_proxy.workers.rolling import Rolling
from openai_proxy.workers.sums import Figures, added, figures, lasting
from openai_proxy.workers.watcher import Watcher

FAILED, REFUSED = 1, 2
# Beside those that serve there may be three generations that finish what they had begun.
ROWS = 4
ANSWER, TAKE = 0.5, 10.0
MARGIN = 10.0
RETRY = 1.0

log = logging.getLogger("openai_proxy.workers")


class Supervisor:
    """`run` returns the exit code, or in a new process what a worker begins with. `read` reads the configuration."""

    def __init__(
        self,
        config: Config,
        keys: Keys,
        read: Read,
        listeners: Mapping[int, Sequence[socket.socket]],
        descriptors: int,
        watch_every: float | None,
    ) -> None:
        signals: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGTERM: lambda: self._leave(self.config.server.grace),
            signal.SIGINT: lambda: self._leave(0.0 if at_terminal() else self.config.server.grace),
            signal.SIGHUP: self._reload_or_tell,
            signal.SIGUSR2: self._restart_or_tell,
            signal.SIGCHLD: lambda: self.crew.reap(),
        }
        self.config = config
        self.keys = keys
        self.read = read
        self.listeners = listeners
        self.watcher = Watcher(signals)
        self.board = Board(ROWS * len(listeners))
        self.plans = Plans(self.board)
        self.plans.make(config)
        self.revision = 1
        self.orders: dict[str, Order] = {}
        self.steered: dict[tuple[str, str], Steer] = {}
        self.gatherings = Gatherings(self.watcher)
        self.crew = Crew(self.watcher, self.board, listeners, self._given, descriptors, self._on_message, self._on_gone)
        self.rolling = Rolling(self.crew, self.watcher, self.board.rows)
        self.metrics = Metrics()  # of the supervisor itself: what it refuses
        self.past: Figures = {}
        self.code = 0
        self._leaving = 0
        self._refused: str | None = None
        self._seen = (config, keys)
        self._watch_every = watch_every

    def run(self) -> int | Birth:
        try:
            for number in self.listeners:
                self.crew.begin(number, first=True)
            if self._watch_every is not None:
                self.watcher.later(self._watch_every, self._watch)
            while self.crew.children or not self._leaving:
                self.watcher.turn()
            return self.code
        except Born as born:
            self.watcher.let_go()
            self.crew.let_go()
            return born.birth
        finally:
            self.watcher.stop()

    def _given(self) -> Given:
        return Given(self.config, self.keys, self.plans.plan, self.revision, dict(self.orders), dict(self.steered))

    # What workers say

    def _on_message(self, child: Child, message: Message) -> None:
        if message.answer:
            self.gatherings.answered(child, message)
            return
        match message.what:
            case "serving":
                self.crew.opened(child)
                self.rolling.opened(child)
            case "counted":
                child.figures = message.content
            case "metrics":
                child.figures = message.content
                self._tell_figures(child, message)
            case "order":
                self._spread_order(child, message)
            case "upstreams":
                self._ask_upstreams(child, message)
            case "image" | "login" | "ask":
                self._find(child, message)
            case "reload":
                self._reload(lambda outcome: self._answer(child, message, outcome))
            case "restart":
                self._answer(child, message, self._restart())

    def _answer(self, child: Child, message: Message, content: object) -> None:
        child.channel.send(Message(message.what, content, message.number, answer=True))

    def _tell_figures(self, asker: Child, message: Message) -> None:
        others = [child for child in self.crew.children if child is not asker]

        def done(answers: dict[Child, Any]) -> None:
            for child, told in answers.items():
                child.figures = told
            own = lasting(figures(self.metrics.registry))
            self._answer(asker, message, added([self.past, own, *(child.figures for child in self.crew.children)]))

        self.gatherings.ask(others, "metrics", None, ANSWER, done)

    def _spread_order(self, asker: Child, message: Message) -> None:
        name, order, timeout = message.content
        self.orders[name] = order
        others = [child for child in self.crew.children if child is not asker]

        def done(answers: dict[Child, Any]) -> None:
            failed = next((answer for answer in answers.values() if isinstance(answer, Exception)), None)
            self._answer(asker, message, failed or all(answers.get(child, False) for child in others))

        self.gatherings.ask(others, "order", message.content, timeout + ANSWER, done)

    def _ask_upstreams(self, asker: Child, message: Message) -> None:
        name, steer = message.content
        if steer is not None:
            self.steered[name, steer[1]] = steer[0]
        others = [child for child in self.crew.children if child is not asker]

        def done(answers: dict[Child, Any]) -> None:
            self._answer(asker, message, [each for each in answers.values() if not isinstance(each, Exception)])

        self.gatherings.ask(others, "upstreams", message.content, ANSWER, done)

    def _find(self, asker: Child, message: Message) -> None:
        others = [child for child in self.crew.children if child is not asker]

        def done(answers: dict[Child, Any]) -> None:
            if message.what == "ask":
                self._answer(asker, message, [answers.get(child) for child in others])
                return
            self._answer(asker, message, next((found for found in answers.values() if found is not None), None))

        self.gatherings.ask(others, message.what, message.content, ANSWER, done)

    # The configuration

    def _reload(self, done: Callable[[Exception | None], None]) -> None:
        """Read the configuration and have every worker take it; `done` is called with the reason if it is refused."""
        try:
            config, keys = self.read()
            plan = self.plans.make(config)
        except (ValueError, OSError) as error:
            self.metrics.config_rejected.inc()
            done(ValueError(str(error)) if isinstance(error, ValueError) else OSError(*error.args))
            return
        for text in differences(self.config, config):
            log.warning(text)
        self.orders = {name: order for name, order in self.orders.items() if self._unchanged(name, config)}
        self.steered = {place: steer for place, steer in self.steered.items() if self._unchanged(place[0], config)}
        for family in self.past.values():
            family.drop(frozenset(config.models))
        self.config, self.keys = config, keys
        self.revision += 1

        def taken(answers: dict[Child, Any]) -> None:
            log.info("configuration taken")
            self._replace({child.number for child, answer in answers.items() if isinstance(answer, Exception)})
            done(None)

        content = (config, keys, plan, self.revision)
        self.gatherings.ask(self.crew.children, "take", content, TAKE, taken)

    def _unchanged(self, name: str, config: Config) -> bool:
        return name in config.models and config.models[name] == self.config.models.get(name)

    def _replace(self, numbers: set[int]) -> None:
        """Workers could not take what was found right: new ones can, or say why not."""
        if numbers and not self.rolling.busy:
            log.error("workers %s did not take the configuration", sorted(numbers))
            self.rolling.begin(numbers)

    def _reload_or_tell(self) -> None:
        def told(error: Exception | None) -> None:
            if error is not None:
                log.error("configuration refused, the old one stays in force: %s", error)

        self._reload(told)

    def _watch(self) -> None:
        """Take the configuration whenever what is read has changed; tell each problem once."""
        assert self._watch_every is not None
        self.watcher.later(self._watch_every, self._watch)
        try:
            found = self.read()
        except (ValueError, OSError) as error:
            if str(error) != self._refused:
                self._refused = str(error)
                self.metrics.config_rejected.inc()
                log.error("configuration refused, the old one stays in force: %s", error)
            return
        self._refused = None
        if found != self._seen:
            self._seen = found
            self._reload_or_tell()

    # Restarts and deaths

    def _restart(self) -> WrongState | None:
        try:
            if self._leaving:
                raise WrongState("The server is going down.")
            self.rolling.begin(self.listeners)
        except WrongState as error:
            return error
        return None

    def _restart_or_tell(self) -> None:
        refused = self._restart()
        if refused is not None:
            log.error("%s", refused)

    def _on_gone(self, child: Child, code: int) -> None:
        self.past = added([self.past, lasting(child.figures)])
        for family in self.past.values():
            family.drop(frozenset(self.config.models))
        self.gatherings.gone(child)
        if self._leaving:
            self.code = self.code or (FAILED if code else 0)
        elif child.phase == "retiring":
            log.log(logging.ERROR if code else logging.INFO, "worker %d of before %s", child.number, how(code))
        else:
            log.error("worker %d died: %s", child.number, how(code))
            if not self.rolling.gone(child):
                self._start_again(child, code)

    def _start_again(self, child: Child, code: int) -> None:
        pause = None if code == REFUSED else self.crew.pause(child)
        if pause is None:
            log.error("worker %d cannot be kept alive: the server ends", child.number)
            self._leave(0.0)
            self.code = FAILED if code != REFUSED else REFUSED
        else:
            self.watcher.later(pause, lambda: self._begin(child.number))

    def _begin(self, number: int) -> None:
        if self._leaving or self.crew.serving(number):
            return
        if self.crew.begin(number) is None:
            self.watcher.later(RETRY, lambda: self._begin(number))

    # The end

    def _leave(self, grace: float) -> None:
        self._leaving += 1
        if self._leaving == 1:
            self.rolling.stop()
            self.crew.send(Message("leave", grace))
            self.watcher.later(grace, self._close)
            self.watcher.later(grace + self.config.server.drain + LAST_WORDS + MARGIN, self.crew.kill)
        elif self._leaving == 2:
            log.warning("second signal: ending now")
            self.code = FORCED
            self.crew.send(Message("force"))
            self.watcher.later(HARD_END, self.crew.kill)

    def _close(self) -> None:
        for sockets in self.listeners.values():
            for listener in sockets:
                listener.close()


def at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()
