"""The backend `diffusers`: one model, one engine process, one door."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import aclosing
from functools import partial
from pathlib import Path

from msgspec import structs

import vision
from backends import Lack, Model, Setup, Sides, State, media
from backends.diffusers.easel import Easel, Tallies
from backends.diffusers.figures import figures
from backends.diffusers.link import Link
from backends.diffusers.messages import Ability, Loaded, Task
from backends.diffusers.options import Options, is_folder, sides
from backends.diffusers.order import ordered, task_of, usual_steps
from backends.errors import OtherKind
from backends.events import Event
from backends.figures import Figure
from backends.life import Life
from backends.process import Process
from backends.quarantine import Quarantine
from backends.requests import EFFORTS, ImageRequest, Request

# What a pipeline might honour, until it is known.
PARAMETERS = frozenset(
    [
        *("seed", "effort", "steps", "guidance", "negative_prompt", "partial"),
        *("edit", "vary", "mask", "images", "strength"),
    ]
)
DOES: Mapping[str, str] = {
    "generate": "draws from words",
    "edit": "changes pictures",
    "mask": "changes what a mask shows",
    "vary": "makes variations",
}


class Diffusers:
    """A pipeline of Diffusers. Options: `backends.diffusers.options.Options`."""

    def __init__(self, setup: Setup) -> None:
        self.options = Options.read(setup)
        # While some are drawn, the next ones may gather.
        self.slots = setup.slots or 2 * self.options.max_batch
        self.model = Model(
            kinds=frozenset({"image"}),
            parameters=PARAMETERS,
            sizes=tuple(map(sides, self.options.sizes)),
            certain=False,
        )
        self._quarantine = Quarantine()
        self._tallies = Tallies()
        self._make_easel = partial(Easel, self.options.max_batch, self.options.gather, self._tallies)
        self._load = self.options.load(setup.model or "")
        self._life = Life(setup.changed)
        self._link: Link | None = None
        self._process = Process(self._make_link, self._life, self._quarantine.died)

    @staticmethod
    def lacking(setup: Setup) -> Iterator[Lack]:
        """The model's folder, or what tells of a pipeline in it."""
        Options.read(setup)
        if setup.model and is_folder(setup.model):
            index = Path(setup.model).expanduser() / "model_index.json"
            if not index.is_file():
                yield Lack(("model",), f"model {setup.name}: there is no {index}, which every Diffusers pipeline has")

    @property
    def state(self) -> State:
        return self._life.state

    @property
    def pid(self) -> int | None:
        """The engine's process."""
        return self._process.pid

    async def start(self) -> None:
        """Load the weights, try them out and learn what they can. Raises LoadFailed or OSError."""
        await self._process.start()
        loaded, options = self._process.link.loaded, self.options
        self.model = structs.replace(
            self.model,
            certain=True,
            parameters=frozenset(_parameters(loaded)),
            sides=None if options.sizes else Sides(options.smallest, options.largest, loaded.multiple),
            steps=dict(_steps(loaded, options)),
            description=_description(loaded),
        )

    async def close(self) -> None:
        await self._process.close()

    async def run(self, request: Request) -> AsyncGenerator[Event, None]:
        """Answer one request; closing it early ends the engine's work on it within a step."""
        if not isinstance(request, ImageRequest):
            raise OtherKind
        link = self._process.link
        with self._quarantine.running(request):
            task_of(request, link.loaded)
            images, mask = await media.pictures(request, self.options.largest)
            order = await vision.soon(ordered, request, link.loaded, self.options, images, mask)
            async with aclosing(link.easel.draw(order)) as events:
                async for event in events:
                    yield event

    def figures(self) -> Iterable[Figure]:
        """Pictures, calls and steps."""
        return figures(self._tallies, self._link.waiting if self._link is not None else 0)

    def _make_link(self) -> Link:
        self._link = Link(self._load, self._make_easel, self._note)
        return self._link

    def _note(self, note: str) -> None:
        self._life.become(structs.replace(self._life.state, note=note))


def _parameters(loaded: Loaded) -> Iterator[str]:
    """What at least one of the pipelines honours; each request is looked at again for its own."""
    yield "seed"
    abilities: list[Ability] = list(loaded.tasks.values())
    for task, ability in loaded.tasks.items():
        yield from _begun_with(task, ability)
    honoured = {
        "steps": any(each.steps is not None for each in abilities),
        "effort": any(each.steps is not None for each in abilities),
        "guidance": any(each.guide is not None for each in abilities),
        "negative_prompt": any(each.negative for each in abilities),
        "strength": any(each.strength is not None for each in abilities),
        "partial": any(each.previews for each in abilities),
    }
    yield from (name for name, so in honoured.items() if so)


def _begun_with(task: Task, ability: Ability) -> Iterator[str]:
    """What a pipeline does with pictures that come in."""
    if task == "edit":
        yield "edit"
        if ability.strength is not None:
            yield "vary"
        if ability.several:
            yield "images"
    if task == "mask":
        yield from ("edit", "mask")


def _steps(loaded: Loaded, options: Options) -> Iterator[tuple[str, int]]:
    """By quality, of a new picture where it draws such; what is too many is left out."""
    own = (loaded.tasks.get("generate") or next(iter(loaded.tasks.values()))).steps
    for quality, effort in EFFORTS.items():
        if own is not None and (steps := usual_steps(effort, own, options)) <= options.max_steps:
            yield quality, steps


def _description(loaded: Loaded) -> str:
    """Its pipeline, what that does, and where."""
    does = [DOES[task] for task in loaded.tasks]
    if "vary" in _parameters(loaded):
        does.append(DOES["vary"])
    return f"{loaded.pipeline}: {', '.join(does)} ({loaded.place})"
