"""The servers behind models: `openai-proxy models upstreams`, `drain` and `undrain`."""

from __future__ import annotations

import argparse
import sys
import time
import urllib.parse
from typing import Any

import msgspec
from msgspec import Struct

from openai_proxy.cli import address, ask
from openai_proxy.cli.ending import Ending
from openai_proxy.cli.plain import one_line
from openai_proxy.cli.table import print_json, print_table

EVERY = 0.5  # seconds between two looks
DRAINING, DRAINED = "draining", "drained"
HEAD = ("model", "upstream", "state", "running", "weight", "first byte", "why")


class Upstream(Struct, kw_only=True, frozen=True):
    """A server behind a model, as the admin API tells of it."""

    name: str
    state: str
    outstanding: int
    why: str = ""
    since: float | None = None
    weight: float = 1.0
    slots: int | None = None
    first_byte: float | None = None

    def row(self, model: str) -> tuple[str, ...]:
        running = f"{self.outstanding}" if self.slots is None else f"{self.outstanding}/{self.slots}"
        first_byte = "" if self.first_byte is None else f"{self.first_byte * 1000:.0f} ms"
        since = "" if self.since is None else f" ({self.since:.0f} s)"
        return (model, self.name, self.state + since, running, f"{self.weight:g}", first_byte, self.why)

    @property
    def text(self) -> str:
        running = f"{self.outstanding} running" if self.outstanding else ""
        return "  ".join(part for part in (self.name, self.state, running, self.why) if part)


class Model(Struct):
    """A model and what is behind it."""

    id: str
    upstreams: list[Upstream]


class Models(Struct):
    """All of them."""

    models: list[Model]


def show(url: str, who: address.Who, args: argparse.Namespace) -> None:
    """Print the upstreams of one model or of all; with --watch a line for each, and again when its state changes."""
    if args.watch:
        follow(url, who, args)
        return
    answer = listed(url, who, args.name)
    if args.json:
        print_json(answer)
        return
    rows = [upstream.row(model.id) for model in models(answer) for upstream in model.upstreams]
    print_table([HEAD, *rows] if rows and sys.stdout.isatty() else rows)


def follow(url: str, who: address.Who, args: argparse.Namespace) -> None:
    told: dict[tuple[str, str], str] = {}
    while True:
        for model in models(listed(url, who, args.name)):
            for upstream in model.upstreams:
                if told.get((model.id, upstream.name)) != upstream.state:
                    told[model.id, upstream.name] = upstream.state
                    tell(upstream, args.json, model.id)
        time.sleep(EVERY)


def tell(upstream: Upstream, as_json: bool, model: str) -> None:
    if as_json:
        print(msgspec.json.encode({"model": model, **msgspec.to_builtins(upstream)}).decode(), flush=True)
    else:
        print(one_line(f"{model}  {upstream.text}"), flush=True)


def listed(url: str, who: address.Who, name: str | None) -> Any:
    """What the server tells of the upstreams of one model, or of all."""
    root = url.removesuffix("/v1")
    if name is None:
        return ask.json(f"{root}/admin/upstreams", who)
    return {"models": [ask.json(f"{root}/admin/models/{urllib.parse.quote(name)}/upstreams", who)]}


def models(answer: Any) -> list[Model]:
    try:
        return msgspec.convert(answer, Models).models
    except msgspec.ValidationError as error:
        raise Ending("the server answered something else than the upstreams of models") from error


def steer(url: str, who: address.Who, args: argparse.Namespace) -> None:
    """Drain or undrain one, and wait until nothing runs at one that is drained; the order holds without the wait."""
    state = order(url, who, args)
    told = ""
    while state.state == DRAINING:
        if state.text != told:
            told = state.text
            print(one_line(told), file=sys.stderr)
        time.sleep(EVERY)
        state = look(url, who, args)
        if state.state not in (DRAINING, DRAINED):
            raise Ending(f"somebody else gave {one_line(state.name)} work again: it is {state.state}")
    print(msgspec.json.encode(state).decode() if args.json else one_line(state.text))


def order(url: str, who: address.Who, args: argparse.Namespace) -> Upstream:
    name, upstream = urllib.parse.quote(args.name), urllib.parse.quote(args.upstream)
    path = f"/admin/models/{name}/upstreams/{upstream}/{args.order}"
    _, answer = ask.post(url.removesuffix("/v1") + path, who)
    try:
        return msgspec.convert(answer, Upstream)
    except msgspec.ValidationError as error:
        raise Ending("the server answered something else than the state of an upstream") from error


def look(url: str, who: address.Who, args: argparse.Namespace) -> Upstream:
    """The upstream that an order named, as it is now."""
    [model] = models(listed(url, who, args.name))
    for upstream in model.upstreams:
        if upstream.name == args.upstream:
            return upstream
    raise Ending(f"the model {one_line(args.name)} has no upstream {one_line(args.upstream)} any more")
