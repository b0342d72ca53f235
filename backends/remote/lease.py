"""One request's stay at one upstream: counted from its choice to its end, with a verdict on the upstream."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from backends.remote.upstream import REQUEST, Failure, Outcome, Upstream


class Keeper(Protocol):
    """What a lease needs of its pool."""

    clock: Callable[[], float]

    def unreachable(self, upstream: Upstream, reason: str) -> None:
        """A connection was refused."""

    def suspect(self, upstream: Upstream) -> None:
        """Something broke: look at once whether the upstream is still there."""


class Lease:
    """Counts at `upstream` until `close`, which leaving a `with` calls. The last verdict before that holds.

    Without a verdict the request was abandoned: canceled, or refused for its own fault.
    """

    __slots__ = ("_answered", "_began", "_keeper", "_outcome", "_work", "upstream")

    def __init__(self, keeper: Keeper, upstream: Upstream, tokens: int, now: float) -> None:
        self.upstream = upstream
        self._keeper: Keeper | None = keeper
        self._began = now
        self._answered = False
        self._outcome: Outcome = "abandoned"
        self._work = REQUEST + tokens
        upstream.outstanding += 1
        upstream.work += self._work

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def answered(self) -> None:
        """The answer's first byte is there: the upstream lives, and took so long."""
        if not self._answered and self._keeper is not None:
            self._answered = True
            self.upstream.answers(self._began, self._keeper.clock())

    def succeeded(self) -> None:
        """The upstream did what it should, which a well-made refusal of a bad request is too."""
        if not self._answered:
            self.answered()
        self._outcome = "succeeded"

    def failed(self, kind: Failure) -> None:
        """It broke before or in its answer, fell silent, answered with a 5xx, or with what is no answer."""
        self._outcome = kind

    def refused(self, reason: str = "the connection was refused") -> None:
        """No connection could be made, so nothing was sent. `reason` is for operators and holds no secret."""
        self._outcome = "refused"
        if self._keeper is not None:
            self._keeper.unreachable(self.upstream, reason)

    def busy(self, retry_after: float | None) -> None:
        """It answered with 429 or 503: no failure, but it is passed over for `retry_after` seconds, if it told any."""
        self._outcome = "busy"
        if retry_after is not None and self._keeper is not None:
            self.upstream.passed_over(retry_after, self._keeper.clock())

    def close(self) -> None:
        """The request has left the upstream. Safe to call twice."""
        keeper, upstream, outcome = self._keeper, self.upstream, self._outcome
        if keeper is None:
            return
        self._keeper = None
        upstream.outstanding -= 1
        upstream.work -= self._work
        upstream.counts[outcome] += 1
        if outcome == "succeeded":
            upstream.window.good += 1
            if upstream.circuit.failures:
                upstream.recovers(self._began, keeper.clock())
        elif outcome in ("abandoned", "busy"):
            upstream.circuit.abandoned(self._began)
        else:
            upstream.went_wrong(self._began, keeper.clock())
            if outcome != "error" and outcome != "malformed":
                keeper.suspect(upstream)  # who answers badly is there all the same
