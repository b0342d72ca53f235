"""Engines: they know models, not HTTP.

A backend is one class with one door, `run`. `BACKENDS` is the registry: a name for the configuration and where the
class lies; a full "module:Class" string is accepted wherever a name is. To add one, write a file and a line here.
"""

from __future__ import annotations

import difflib
import pkgutil
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from msgspec import Struct

from backends.events import Event
from backends.requests import (
    ChatRequest,
    CompletionRequest,
    DetokenizeRequest,
    EmbeddingRequest,
    ImageRequest,
    Request,
    ScoreRequest,
    SpeechRequest,
    TokenizeRequest,
    TranscriptionRequest,
)

BACKENDS = {
    "echo": "backends.echo:Echo",
    "diffusers": "backends.diffusers:Diffusers",
    "emoji": "backends.emoji:Emoji",
    "espeak": "backends.espeak:Espeak",
    "faster_whisper": "backends.faster_whisper:FasterWhisper",
    "hibari": "backends.hibari:Hibari",
    "kokoro": "backends.kokoro:Kokoro",
    "llama_cpp": "backends.llama_cpp:LlamaCpp",
    "program": "backends.remote:Program",
    "ray": "backends.ray:Ray",
    "remote": "backends.remote:Remote",
    "vllm": "backends.vllm:Vllm",
}

Kind: TypeAlias = Literal["chat", "completion", "embedding", "score", "tokenize", "transcription", "speech", "image"]
Modality: TypeAlias = Literal["image", "audio"]
StateName: TypeAlias = Literal[
    "stopped", "loading", "ready", "stopping", "sleeping", "unloaded", "restarting", "failed"
]
KINDS: Mapping[type[Request], Kind] = {
    ChatRequest: "chat",
    CompletionRequest: "completion",
    EmbeddingRequest: "embedding",
    ScoreRequest: "score",
    TokenizeRequest: "tokenize",
    DetokenizeRequest: "tokenize",
    TranscriptionRequest: "transcription",
    SpeechRequest: "speech",
    ImageRequest: "image",
}


class Voice(Struct, frozen=True):
    """A voice of a model that speaks. `languages` are ISO 639-1 codes; `description` says what it sounds like."""

    name: str
    languages: tuple[str, ...] = ()
    description: str = ""


class Sides(Struct, frozen=True):
    """The sides that a picture may have, in pixels."""

    smallest: int
    largest: int
    multiple: int = 1

    def allow(self, size: tuple[int, int]) -> bool:
        return all(self.smallest <= side <= self.largest and side % self.multiple == 0 for side in size)

    def __str__(self) -> str:
        return f"multiples of {self.multiple} from {self.smallest} to {self.largest} pixels"


class Model(Struct, frozen=True, kw_only=True):
    """What is known of a model once its engine has started.

    `kinds` are the requests it takes; `parameters` the names of the fields of `Sampling`, of the requests and of
    `extra` that it honours: the edge refuses the others before the backend sees them. `modalities` are what a chat may
    hold beside text. Sizes are in tokens; `dimensions` is the width of an embedding. `voices`
    are those it speaks with, the first one unless another is asked for. Pictures have one of its `sizes`, in pixels,
    or any with its `sides`; neither: nobody knows. `steps` says how many a picture takes by its quality, as far as that
    is known (names as in `requests.EFFORTS`). Before an engine was loaded once
    it may not be `certain`: `kinds`, `parameters` and `modalities` are then all that the model might have. A model that
    `relays` lies behind another server of OpenAI's API: it is given requests with their `form`. `via` are the servers
    of this kind through which a model is known that was found. Pictures in chats are shrunk until no side has more than
    `image_side` pixels.
    """

    kinds: frozenset[Kind]
    parameters: frozenset[str] = frozenset()
    modalities: frozenset[Modality] = frozenset()
    certain: bool = True
    relays: bool = False
    context: int | None = None
    vocabulary: int | None = None
    dimensions: int | None = None
    voices: tuple[Voice, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()
    sides: Sides | None = None
    steps: Mapping[str, int] = {}
    image_side: int | None = None
    description: str = ""
    via: tuple[str, ...] = ()


class State(Struct, frozen=True):
    """Where an engine's life stands; `fraction` (0 to 1) and `note` describe a load in progress.

    A backend is never `unloaded` or `stopping`: those say why it is `stopped`, or soon will be.
    """

    name: StateName
    note: str = ""
    fraction: float | None = None


class UpstreamState(Struct, frozen=True):
    """One of the servers behind a model: what operators are told of it.

    `state` is a word of the backend's own and `why` explains it; `since` is how many seconds ago it began, None if
    there was no other before it. `outstanding` requests are there now, of at most `slots`; `weight` is its share of the
    work beside the others'; `first_byte` is a moving average of seconds until an answer begins.
    """

    name: str
    state: str
    outstanding: int
    why: str = ""
    since: float | None = None
    weight: float = 1.0
    slots: int | None = None
    first_byte: float | None = None


class Backend(Protocol):
    """An engine that serves one model.

    `run` is an async generator: closing it early stops the engine's work for this request. Every way to fail is a
    `backends.errors.BackendError`. `model` is valid from construction on and may become more exact in `start`; `slots`
    is how many requests run at once. The constructor takes a Setup and raises ValueError for options it does not know.
    A backend may have a method `figures() -> Iterable[Figure]`: what its engine tells of itself now, asked in the event
    loop whenever somebody reads the metrics.
    And a method `refresh()`: the configuration was read anew and says the same of its model, but what files and
    variables hold that it names may have changed.
    And a method `inherit(former)`: before its start, by a reload, it takes the place of a backend of the same class
    whose model has the same name; what that one knows of servers behind both may be kept.
    After `close` it may be started again.
    A class whose models may be served by several processes at once, each with an object of its own, since no engine
    lives in them, says so by an attribute: `shareable = True`.

    A backend that has several engines for its model, tries another one and gives those that fail a pause, says so by
    `resilient = True`: nothing of that is then done on top of it.

    A backend that has servers behind it may let operators see and steer them, by three methods called in the event
    loop: `upstreams() -> Sequence[UpstreamState]`; `drain(name)`, after which that one gets no new work, whatever
    happens to it, until `undrain(name)`. Both orders raise UnknownUpstream. Its state is not ready while none of them
    can get work, and says in its note how many can while some cannot.

    A backend may serve models that only it knows, in place of the one it is named for: then its method `discovered()
    -> Mapping[str, Model] | None` gives them by the names that clients use, as they are now, which costs nothing;
    `changed` is called when they are others, and a request's `model` is one of them. None: it serves the one.

    Its class may have a static method `lacking(setup) -> Iterable[Lack]`: which files and variables that the settings
    name are not there. It is asked when a configuration is read, after the constructor took the settings.

    A backend whose engine can give its memory back without ending has two methods more: `async sleep() -> bool`, False
    where this engine cannot after all, and `async wake()`, which raises as `start` does. The others are closed.
    """

    model: Model
    slots: int

    @property
    def state(self) -> State: ...

    async def start(self) -> None:
        """Fetch, load and warm up; return when `run` can answer. Raises BackendError or OSError."""

    def run(self, request: Request) -> AsyncGenerator[Event]:
        """Answer one request. May be called many times at once."""

    async def close(self) -> None:
        """Release the engine. Safe to call twice, and on a backend that never started."""


class Setup(Struct, frozen=True, kw_only=True):
    """What a backend is built from: its model's name, its own `options` table and how many requests run at once.

    `model` says what to load and `engine` how, in the engine's own words, for backends that take them; `adapters` are
    LoRA adapters by the name that a request's `model` has when it means one. `upstreams` are servers behind this one.
    `changed` is to be called after each change of `state`; it must be called in the event loop.
    """

    name: str
    model: str | None = None
    engine: Mapping[str, Any] = {}
    adapters: Mapping[str, str] = {}
    options: Mapping[str, Any] = {}
    upstreams: Sequence[Mapping[str, Any]] = ()
    slots: int | None = None
    changed: Callable[[], None] = lambda: None

    def refuse_engine(self, backend: str) -> None:
        """For backends that take only `options`. Raises ValueError when another setting is there."""
        for setting in ("model", "engine", "adapters", "upstreams"):
            if getattr(self, setting):
                raise ValueError(f"model {self.name}: {backend} has no setting {setting!r}; it takes options")


def shareable(name: str) -> bool:
    """Whether several processes may serve a model of this backend. Raises UnknownBackend."""
    return bool(getattr(resolve(name), "shareable", False))


def discovered(backend: Backend) -> Mapping[str, Model] | None:
    """The models that a backend found by itself; None where it serves the one it is named for."""
    find: Callable[[], Mapping[str, Model] | None] | None = getattr(backend, "discovered", None)
    return None if find is None else find()


class Lack(NamedTuple):
    """A file or a variable of the environment that is not there, or is not what it should be.

    `path` leads from the model's table to the setting that names it. `problem` is a sentence and shows no secret.
    """

    path: tuple[str | int, ...]
    problem: str


class UnknownBackend(ValueError):
    """The configuration names a backend that does not exist."""


class UnknownUpstream(ValueError):
    """A model has no upstream of that name."""


def check_together(setups: Mapping[str, Sequence[Setup]]) -> None:
    """Let each backend, by its registry name, look at all of its models at once. Raises ValueError."""
    for backend, own in setups.items():
        check = getattr(resolve(backend), "check_together", None)
        if check is not None:
            check(own)


def lacking(backend: str, setup: Setup) -> Iterable[Lack]:
    """What a model's settings name and this machine does not have, where the backend's class can tell."""
    look: Callable[[Setup], Iterable[Lack]] | None = getattr(resolve(backend), "lacking", None)
    return () if look is None else look(setup)


def resolve(name: str) -> Callable[[Setup], Backend]:
    """The backend class behind a registry name or a "module:Class" string. Raises UnknownBackend."""
    target = BACKENDS.get(name, name)
    if ":" not in target:
        near = difflib.get_close_matches(name, BACKENDS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(sorted(BACKENDS))}"
        raise UnknownBackend(f"no backend is called {name!r}{hint}")
    if not all(part.isidentifier() for part in target.replace(":", ".", 1).split(".")):
        raise UnknownBackend(f"backend {name!r} is not of the form 'module:Class'")
    try:
        factory: Callable[[Setup], Backend] = pkgutil.resolve_name(target)
    except (ImportError, AttributeError) as error:
        raise UnknownBackend(f"backend {name!r} cannot be imported: {error}") from error
    return factory
