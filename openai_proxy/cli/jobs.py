"""`openai-proxy jobs`: the jobs of a server, whoever handed them in: list, look, follow, cancel, do again."""

from __future__ import annotations

import argparse
import sys
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any, get_args

import msgspec

from openai_proxy.cli import address, ask, following
from openai_proxy.cli.ending import MISUSED, Ending
from openai_proxy.cli.job import HEAD, Job, State, job_of, jobs_of
from openai_proxy.cli.plain import one_line, safe
from openai_proxy.cli.table import print_json, print_table

DESCRIPTION = """\
The jobs of an openai-proxy server, by whatever protocol they came. Wants a key of the scope admin where the server has
keys.

  openai-proxy jobs list                    the newest 20; --watch shows them as they change, until Ctrl-C
  openai-proxy jobs list --state queued,running --model tiny --limit 100
  openai-proxy jobs show ID                 how it stands, its text and the addresses of its files
  openai-proxy jobs follow ID               its text as it comes, until it ends; 0 if it succeeded, 1 if not
  openai-proxy jobs cancel ID               end it, and wait until it has ended
  openai-proxy jobs retry ID                do a failed or canceled one again
"""
EVERY = 1.0  # seconds between two looks
PAGE = 100  # the most that the server tells at once


def describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    listing = actions.add_parser("list", help="list jobs, the newest first")
    for name in ("owner", "origin", "model"):
        listing.add_argument(f"--{name}", metavar=name.upper(), help=f"only those of this {name}")
    states = ", ".join(get_args(State))
    listing.add_argument("--state", metavar="STATES", help=f"only those in these states, separated by commas: {states}")
    listing.add_argument("--limit", type=int, default=20, metavar="N", help="so many at most (default: 20)")
    listing.add_argument("--watch", action="store_true", help="show them as they change, until Ctrl-C")
    showing = actions.add_parser("show", help="tell all that is known of a job")
    follow = actions.add_parser("follow", help="show a job's text and progress as they come")
    cancel = actions.add_parser("cancel", help="end a job")
    retry = actions.add_parser("retry", help="do a failed or canceled job again")
    for action in (showing, follow, cancel, retry):
        action.add_argument("id", metavar="ID")
    for action in (listing, showing, follow, cancel, retry):
        address.describe(action)
        action.add_argument("--json", action="store_true", help="print JSON; a line each where there are several")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    actions = {"list": listed, "show": show, "follow": following.follow, "cancel": cancel, "retry": retry}
    check_arguments(args)
    url, who = address.base_url(args, environ), address.who_asks(args, environ)
    try:
        return actions[args.action](f"{url.removesuffix('/v1')}/admin/jobs", who, args)
    except ask.Refused as refused:
        if refused.status == 401:
            raise address.unauthorized(args, url, who, refused.why) from refused
        if refused.status == 403:
            raise Ending(f"{refused} Make one with `openai-proxy keys new NAME --scope admin`.") from refused
        raise


def check_arguments(args: argparse.Namespace) -> None:
    """Ends the command when they cannot be meant."""
    if args.action == "list":
        wrong = [each for each in (args.state or "").split(",") if each and each not in get_args(State)]
        if wrong:
            raise Ending(f"{one_line(wrong[0])} is no state; there are {', '.join(get_args(State))}", MISUSED)
        if args.limit < 1 or (args.watch and args.limit > PAGE):
            raise Ending(f"--limit has to be at least 1, and with --watch at most {PAGE}", MISUSED)
    elif not args.id.strip():
        raise Ending(f"{args.action} needs the ID of a job; `openai-proxy jobs list` lists them", MISUSED)


# Many jobs


def listed(url: str, who: address.Who, args: argparse.Namespace) -> int:
    if args.watch:
        watch(url, who, args)
    answer = pages(url, who, args)
    if args.json:
        print_json(answer)
        return 0
    rows = [job.row(time.time()) for job in jobs_of(answer)]
    print_table([HEAD, *rows] if rows and sys.stdout.isatty() else rows)
    return 0


def pages(url: str, who: address.Who, args: argparse.Namespace) -> Any:
    """As many pages as it takes, as one; its `next` is where more would follow."""
    found: list[Any] = []
    before: Any = None
    while True:
        limit = min(PAGE, args.limit - len(found))
        page = ask.json(f"{url}?{query(args, limit, before)}", who)
        jobs_of(page)
        found += page["jobs"]
        before = page.get("next")
        if not before or len(found) >= args.limit:
            return {"jobs": found, "next": before}


def query(args: argparse.Namespace, limit: int, before: Any = None) -> str:
    given = {name: getattr(args, name) for name in ("state", "owner", "origin", "model")}
    return urllib.parse.urlencode({k: v for k, v in {**given, "limit": limit, "before": before}.items() if v})


def watch(url: str, who: address.Who, args: argparse.Namespace) -> None:
    """A table that changes at a terminal, a line for each change elsewhere; until somebody ends it."""
    if sys.stdout.isatty() and not args.json:
        from openai_proxy.cli.job_screen import Table

        with Table() as table:
            while True:
                table.show(jobs_of(pages(url, who, args)))
                time.sleep(EVERY)
    told: dict[str, str] = {}
    while True:
        jobs = jobs_of(pages(url, who, args))
        for job in reversed(jobs):
            if told.get(job.id) != job.state:
                print(msgspec.json.encode(job).decode() if args.json else one_line(job.text_line), flush=True)
        told = {job.id: job.state for job in jobs}
        time.sleep(EVERY)


# One job


def show(url: str, who: address.Who, args: argparse.Namespace) -> int:
    answer = ask.json(f"{url}/{urllib.parse.quote(args.id, safe='')}", who)
    if args.json:
        print_json(answer)
        return 0
    job = job_of(answer)
    print_table(job.facts(time.time()))
    if job.text:
        print(f"\n{safe(job.text) if sys.stdout.isatty() else job.text}")
    return 0


def cancel(url: str, who: address.Who, args: argparse.Namespace) -> int:
    """Order it, and look until whoever works on the job has stopped."""
    job = order(url, who, args)
    while not job.ended:
        time.sleep(EVERY / 4)
        job = job_of(ask.json(f"{url}/{urllib.parse.quote(args.id, safe='')}", who))
    tell(job, args)
    if job.state != "canceled":
        raise Ending(f"the job had ended before: it has {job.state}")
    return 0


def retry(url: str, who: address.Who, args: argparse.Namespace) -> int:
    tell(order(url, who, args), args)
    return 0


def order(url: str, who: address.Who, args: argparse.Namespace) -> Job:
    _, answer = ask.post(f"{url}/{urllib.parse.quote(args.id, safe='')}/{args.action}", who)
    return job_of(answer)


def tell(job: Job, args: argparse.Namespace) -> None:
    print(msgspec.json.encode(job).decode() if args.json else one_line(job.text_line))
