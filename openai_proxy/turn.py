"""One request's turn in an engine: its slot, its deadlines and how it ended, settled in one place."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import Literal, TypeAlias

from backends.errors import SILENT, BackendError, EngineFailed, EngineTimeout, Unavailable
from backends.events import Usage
from backends.requests import (
    Audio,
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    Image,
    ImageRequest,
    Message,
    Part,
    Prompt,
    Request,
    ScoreRequest,
    SpeechRequest,
    Text,
    TokenizeRequest,
    TranscriptionRequest,
)
from openai_proxy.config import Timeouts
from openai_proxy.errors import EdgeError
from openai_proxy.served import Served
from openai_proxy.ticker import Ticker

Timer: TypeAlias = Literal["first_token", "between_tokens", "request"]
CHARACTERS_PER_TOKEN = 4
# A photograph in most models; and sound of a usual bit rate, of which encoders make some fifty a second.
PICTURE_TOKENS = 1000
BYTES_PER_SOUND_TOKEN = 160
RETRY_PAUSE = 0.5


class Turn:
    """Entered with a slot in hand, had since `slot` (monotonic seconds). On the way out it gives the slot back and
    tells the circuit and the counters.

    `steps` is raised when an event comes and again when the next one is asked for: even while the engine is waited
    for, odd while the consumer works, whose time is not the engine's. When a deadline passes, the task is canceled, and
    that leaves as EngineTimeout.
    """

    steps = 0
    pieces = 0
    _seen = 0
    _retried = False
    _expired: Timer | None = None

    def __init__(self, served: Served, slot: float, ticker: Ticker, timeouts: Timeouts, request: Request) -> None:
        task = asyncio.current_task(ticker.loop)
        assert task is not None
        self.task = task
        self.served = served
        self.slot = slot
        self.ticker = ticker
        self.timeouts = timeouts
        self.request = request
        self._since = slot

    def __enter__(self) -> Turn:
        self.ticker.add(self)
        return self

    def answered(self) -> None:
        """The first event is there."""
        self.served.counted.first_event_seconds.observe(time.monotonic() - self.slot)

    def used(self, usage: Usage) -> None:
        """The engine's own count, which replaces that of the pieces."""
        self.served.counted.used(usage)
        self.pieces = 0

    async def pause(self, error: Unavailable) -> None:
        """Wait a moment before the engine is asked once more. Raises `error` when it was, or when it had begun."""
        if self._retried or self.steps or self.served.resilient:
            raise error
        self._retried = True
        self.served.counted.retries.inc()
        await asyncio.sleep(min(error.retry_after, RETRY_PAUSE))

    def look(self, now: float) -> None:
        """End the wait for the engine when it has been too long. It is seen to begin at the first look after it did."""
        if self.steps % 2:
            return
        if self._seen != self.steps:
            self._seen, self._since = self.steps, now
        timer = self._due(now)
        if timer is not None:
            self._expired = timer
            self.ticker.discard(self)
            # A long answer says nothing against the engine.
            self.task.cancel(None if timer == "request" and self.steps else SILENT)

    def _due(self, now: float) -> Timer | None:
        if now >= self.slot + self.timeouts.request:
            return "request"
        if isinstance(self.request, ImageRequest) and self.request.form is not None:
            return None  # another server's pictures, which come far apart and say nothing in between
        waited = now - self._since
        if self.steps:
            return "between_tokens" if waited >= self.timeouts.between_tokens else None
        if in_one_piece(self.request):
            return None
        patience = self.timeouts.first_token
        if waited < patience or waited < patience + estimate(self.request) / 1000:  # a long prompt takes longer to read
            return None
        return "first_token"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.ticker.discard(self)
        self.served.admission.release(self.slot)
        if error is None:
            self.served.circuit.succeeded()
            self.served.counted.succeeded.inc()
            self._count_pieces()
        else:
            self._failed(error)

    def _failed(self, error: BaseException) -> None:
        timer = self._absorb() if isinstance(error, asyncio.CancelledError) else None
        if timer is not None:
            self.served.counted.timed_out(timer)
            error = EngineTimeout()
        if timer != "request" and isinstance(error, EngineFailed | EngineTimeout | Unavailable):
            self.served.circuit.failed()
        else:
            self.served.circuit.abandoned()  # a long answer says nothing against the engine
        self._count_pieces()
        self.served.counted.ended(outcome(error))
        if timer is not None:
            raise error from None

    def _count_pieces(self) -> None:
        """An answer that was cut short, or whose server told no usage, still took its tokens."""
        if self.pieces:
            self.served.counted.used(Usage(completion=self.pieces))

    def _absorb(self) -> Timer | None:
        """The timer that ran out, if the cancellation that just arrived was this turn's own: then it is taken back."""
        if self._expired is None or self.task.uncancel() > 0:
            return None
        return self._expired


def outcome(error: BaseException) -> str:
    """The label of how a request failed: the name of our own error class, else canceled."""
    return type(error).__name__ if isinstance(error, BackendError | EdgeError) else "canceled"


def in_one_piece(request: Request) -> bool:
    """Whether another server writes the answer and was not asked for a stream: there is no first token to wait for."""
    form = getattr(request, "form", None)
    return form is not None and not form.stream


def estimate(request: Request) -> int:
    """How many tokens a request's prompt probably has."""
    match request:
        case ChatRequest():
            return sum(map(_message, request.messages))
        case CompletionRequest():
            return sum(map(_length, request.prompts))
        case EmbeddingRequest():
            return sum(map(_length, request.inputs))
        case ScoreRequest():
            queries = map(request.query, range(len(request.documents)))
            return sum(map(_length, queries)) + sum(map(_length, request.documents))
        case TokenizeRequest():
            return _length(request.prompt) if isinstance(request.prompt, str) else estimate(request.prompt)
        case DetokenizeRequest():
            return len(request.tokens)
        case TranscriptionRequest():
            return len(request.audio.data) // BYTES_PER_SOUND_TOKEN
        case SpeechRequest():
            return _length(request.text)
        case ImageRequest():
            return _length(request.prompt) + PICTURE_TOKENS * len(request.images)


def _message(message: Message) -> int:
    tokens = len(message.text) // CHARACTERS_PER_TOKEN
    return tokens if message.plain else tokens + sum(map(_part, message.parts))


def _part(part: Part) -> int:
    match part:
        case Text():
            return 0
        case Image():
            return PICTURE_TOKENS
        case Audio():
            return len(part.data) // BYTES_PER_SOUND_TOKEN


def _length(prompt: Prompt) -> int:
    return len(prompt) // CHARACTERS_PER_TOKEN if isinstance(prompt, str) else len(prompt)
