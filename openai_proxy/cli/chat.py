"""`openai-proxy chat`: talk to a model of any OpenAI-compatible server."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping

from openai_proxy.cli import address
from openai_proxy.cli.ending import MISUSED, Ending
from openai_proxy.cli.plain import whole

DESCRIPTION = """\
Talk to a model. Answers stream as they are written, rendered as Markdown at a terminal, as raw text in a pipe.

  openai-proxy chat                                  a conversation; /help lists its commands
  openai-proxy chat "Why is the sky blue?"           one question, one answer
  git diff | openai-proxy chat "Review this change"  the piped text is added to the question
  openai-proxy chat --json "Hi" | jq .usage          one JSON object: text, usage, ttft, tokens_per_second

Ctrl-C stops an answer and the server's work on it; at an empty prompt it leaves, as Ctrl-D does.
"""


def describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument(
        "prompt", nargs="*", type=whole, metavar="WORD", help="the question; without one a conversation begins"
    )
    address.describe(parser)
    parser.add_argument(
        "--model",
        type=whole,
        metavar="ID",
        help="model to talk to (default: the first that the server lists and that can chat)",
    )
    parser.add_argument("--system", type=whole, metavar="TEXT", help="system message: how the model shall behave")
    parser.add_argument("--temperature", type=number, metavar="T", help="0 for always the likeliest word, 2 for chaos")
    parser.add_argument("--top-p", type=number, metavar="P", help="only the likeliest words that together reach P")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="longest answer, in tokens")
    parser.add_argument("--seed", type=int, metavar="N", help="same seed, same answer, as far as the engine can")
    parser.add_argument("--stats", action="store_true", help="after each answer: tokens, time to the first, tokens/s")
    parser.add_argument("--plain", action="store_true", help="no Markdown: show the text as it comes")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the text")


def number(text: str) -> float:
    """A number that JSON can hold."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    url, who = address.base_url(args, environ), address.who_asks(args, environ)
    question = read_question(args)
    from openai_proxy.cli import exchange  # the SDK takes most of a second to import: only for what can be asked

    return exchange.run(args, environ, url, who, question)


def read_question(args: argparse.Namespace) -> str | None:
    """The words of the command line, and below them what is piped in; None when a conversation is wanted."""
    words = " ".join(args.prompt).strip()
    piped = "" if sys.stdin is None or sys.stdin.isatty() else whole(sys.stdin.read()).strip()
    question = "\n\n".join(part for part in (words, piped) if part)
    if question:
        return question
    if args.json or sys.stdin is None or not sys.stdin.isatty() or not sys.stdout.isatty():
        raise Ending("there is no question: give it as words or through a pipe", MISUSED)
    return None
