"""`openai-proxy models`: what a server serves, how far its models are, and orders to load or unload one."""

from __future__ import annotations

import argparse
import sys
import urllib.parse
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from openai_proxy.cli import address, ask, upstreams
from openai_proxy.cli.ending import MISUSED, Ending
from openai_proxy.cli.plain import one_line
from openai_proxy.cli.table import print_json, print_table

DESCRIPTION = """\
List the models of a server: ids, what they are aliases of, and their states where the server tells them.

  openai-proxy models
  openai-proxy models --base-url https://api.openai.com/v1 --json
  openai-proxy models --watch          follow states until Ctrl-C

With a key of the scope admin, where the server has keys, it also says what a model of an openai-proxy server shall do,
and waits until that is done:

  openai-proxy models unload NAME      end its engine; it stays so until it is loaded
  openai-proxy models load NAME        load it, or try again after a failure
  openai-proxy models sleep NAME       give its memory back until the next request
  openai-proxy models wake NAME        bring it back before that

The servers behind models of the backend `remote`, with the same key; `drain` waits until the last request there ended:

  openai-proxy models upstreams [NAME]         what is known of each: state, requests, weight, first byte, why
  openai-proxy models drain NAME UPSTREAM      give it no new work
  openai-proxy models undrain NAME UPSTREAM    give it work again
"""
ORDERS = ("load", "unload", "sleep", "wake")
STEERING = ("drain", "undrain")
UNDER_WAY = 202


class Listed(Struct, kw_only=True):
    """A model as GET /v1/models tells of it."""

    id: str
    owned_by: str = ""
    state: str | None = None
    root: str | None = None


class Listing(Struct):
    """The answer of GET /v1/models."""

    data: list[Listed]


class Changed(Struct, kw_only=True):
    """An event of GET /events: one model's state."""

    id: str
    state: str
    note: str = ""
    fraction: float | None = None

    @property
    def text(self) -> str:
        percent = "" if self.fraction is None else f"{self.fraction:.0%}"
        return "  ".join(part for part in (self.id, self.state, percent, self.note) if part)


def describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    orders = (*ORDERS, "upstreams", *STEERING)
    parser.add_argument("order", nargs="?", choices=orders, metavar="ORDER", help=f"{', '.join(orders)}: see above")
    parser.add_argument("name", nargs="?", metavar="NAME", help="the model, by its id or another of its names")
    parser.add_argument("upstream", nargs="?", metavar="UPSTREAM", help="one of the servers behind it, by its name")
    address.describe(parser)
    parser.add_argument("--json", action="store_true", help="print JSON: the server's list, or a state a line")
    parser.add_argument("--watch", action="store_true", help="follow the states of models, or of upstreams")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    check_arguments(args)
    url, who = address.base_url(args, environ), address.who_asks(args, environ)
    try:
        if args.order == "upstreams":
            upstreams.show(url, who, args)
        elif args.order in STEERING:
            upstreams.steer(url, who, args)
        elif args.order:
            order(url, who, args)
        elif args.watch:
            follow(url, who, args.json)
        else:
            show(ask.json(f"{url}/models", who), args.json)
    except ask.Refused as refused:
        if refused.status == 401:
            raise address.unauthorized(args, url, who, refused.why) from refused
        raise
    return 0


def check_arguments(args: argparse.Namespace) -> None:
    """Whether they go together. Ends the command when they do not."""
    if args.order not in (None, "upstreams") and not args.name:
        raise Ending(f"{args.order} needs the NAME of a model", MISUSED)
    if args.order in STEERING and not args.upstream:
        raise Ending(f"{args.order} needs the name of an UPSTREAM of {one_line(args.name)}", MISUSED)
    if args.upstream and args.order not in STEERING:
        raise Ending(f"{args.order} takes no UPSTREAM", MISUSED)
    if args.watch and args.order not in (None, "upstreams"):
        raise Ending("--watch follows models or upstreams and goes with no order", MISUSED)


def show(answer: Any, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    try:
        listed = msgspec.convert(answer, Listing).data
    except msgspec.ValidationError as error:
        raise Ending(f"the server's list of models has another shape than OpenAI's: {error}") from error
    rows = [(model.id, model.state or "", f"-> {model.root}" if is_alias(model) else "") for model in listed]
    print_table(rows)


def order(url: str, who: address.Who, args: argparse.Namespace) -> None:
    """Give an order, again and again until the server says that it is carried out: orders can be repeated."""
    path = f"/admin/models/{urllib.parse.quote(args.name)}/{args.order}"
    told = ""
    while True:
        status, answer = ask.post(url.removesuffix("/v1") + path, who)
        try:
            changed = msgspec.convert(answer, Changed)
        except msgspec.ValidationError as error:
            raise Ending("the server answered something else than the state of a model") from error
        if status != UNDER_WAY:
            print(msgspec.json.encode(changed).decode() if args.json else one_line(changed.text))
            return
        if changed.text != told:
            told = changed.text
            print(one_line(told), file=sys.stderr)


def is_alias(model: Listed) -> bool:
    return model.root is not None and model.root != model.id


def follow(url: str, who: address.Who, as_json: bool) -> None:
    """Print the state of each model now and at each change."""
    root = url.removesuffix("/v1")
    for name, data, _ in ask.events(f"{root}/events", who):
        if name != "model":
            continue
        try:
            changed = msgspec.json.decode(data, type=Changed)
        except msgspec.DecodeError as error:
            raise Ending(f"{root}/events sent something else than states of models") from error
        print(msgspec.json.encode(changed).decode() if as_json else one_line(changed.text), flush=True)
