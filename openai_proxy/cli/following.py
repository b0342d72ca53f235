"""`openai-proxy jobs follow`: a job's text as it comes and how it stands, until it ends."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import urllib.parse
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec

from openai_proxy.cli import address, ask
from openai_proxy.cli.ending import Ending
from openai_proxy.cli.job import Job, job_of
from openai_proxy.cli.plain import one_line

PAUSE = 1.0  # before asking again when a stream ended too early


class Shown(Protocol):
    """Shows one job."""

    def stand(self, job: Job) -> None: ...
    def say(self, text: str) -> None: ...
    def again(self) -> None: ...


def follow(url: str, who: address.Who, args: argparse.Namespace) -> int:
    """0 when it succeeded; otherwise says why not. A stream that breaks off is asked for again where it ended."""
    with painter(args) as shown:
        job = followed(f"{url}/{urllib.parse.quote(args.id, safe='')}/events", who, shown, as_json=args.json)
    if job.state == "succeeded":
        return 0
    why = "" if job.failure is None else f": {one_line(job.failure.code)}: {one_line(job.failure.message)}"
    raise Ending(f"the job was canceled{why}" if job.state == "canceled" else f"the job failed{why}")


def followed(url: str, who: address.Who, shown: Shown, *, as_json: bool) -> Job:
    """The job when it has ended."""
    last = ""
    while True:
        for event in unbroken(url, who, last):
            data = decoded(event)
            if as_json:
                print(msgspec.json.encode({"event": event.name, "data": data}).decode(), flush=True)
            if event.name == "job":
                job = job_of(data)
                shown.stand(job)
                if job.ended:
                    return job
            elif event.id:
                if last and run_of(last) != run_of(event.id):
                    shown.again()
                last = event.id
                shown.say(text_of(event.name, data))
        time.sleep(PAUSE)


def unbroken(url: str, who: address.Who, last: str) -> Iterator[ask.Event]:
    """Events until the stream ends, however it does."""
    with contextlib.suppress(ask.BrokenOff):
        yield from ask.events(url, who, last)


def run_of(id: str) -> str:
    return id.partition("-")[0]


def decoded(event: ask.Event) -> Any:
    try:
        return msgspec.json.decode(event.data)
    except msgspec.DecodeError as error:
        raise Ending("the server sent something else than events of a job") from error


def text_of(name: str, data: Any) -> str:
    """What the first answer goes on with."""
    if name == "delta" and isinstance(data, dict) and data.get("index", 0) == 0:
        return str(data.get("text", ""))
    return ""


def painter(args: argparse.Namespace) -> AbstractContextManager[Shown]:
    """What suits the place: nothing beside JSON, a bar at a terminal, plain text elsewhere."""
    if args.json:
        return Nothing()
    if not sys.stdout.isatty():
        return Lines()
    from openai_proxy.cli.job_screen import Screen

    return Screen()


class Nothing:
    """Shows nothing."""

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def stand(self, job: Job) -> None:
        return

    def say(self, text: str) -> None:
        return

    def again(self) -> None:
        return


class Lines:
    """The text on standard output as it is, the job's states on standard error."""

    def __init__(self) -> None:
        self.told = ""
        self.last = "\n"

    def __enter__(self) -> Shown:
        return self

    def __exit__(self, *_: object) -> None:
        self.end_line()

    def stand(self, job: Job) -> None:
        if job.ended:
            self.end_line()
        line = one_line(job.text_line) if job.state != "running" else one_line(f"{job.id}  running  {job.model}")
        if line != self.told:
            self.told = line
            print(line, file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        if text:
            print(text, end="", flush=True)
            self.last = text[-1]

    def again(self) -> None:
        self.end_line()
        print("work on the job began anew", file=sys.stderr, flush=True)

    def end_line(self) -> None:
        if self.last != "\n":
            print(flush=True)
            self.last = "\n"
