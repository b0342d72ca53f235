"""`openai-proxy chat`: talk to a model of any OpenAI-compatible server."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import openai
from rich.console import Console

from openai_proxy.cli import address, session
from openai_proxy.cli.conversation import Answer, Conversation, explain
from openai_proxy.cli.display import AsItComes, Display, LiveMarkdown, Silent
from openai_proxy.cli.ending import INTERRUPTED, MISUSED, Ending
from openai_proxy.cli.table import print_json

DESCRIPTION = """\
Talk to a model. Answers stream as they are written, rendered as Markdown at a terminal, as raw text in a pipe.

  openai-proxy chat                                  a conversation; /help lists its commands
  openai-proxy chat "Why is the sky blue?"           one question, one answer
  git diff | openai-proxy chat "Review this change"  the piped text is added to the question
  openai-proxy chat --json "Hi" | jq .usage          one JSON object: text, usage, ttft, tokens_per_second

Ctrl-C stops an answer and the server's work on it; at an empty prompt it leaves, as Ctrl-D does.
"""
SAMPLING = ("temperature", "top_p", "max_tokens", "seed")
TIMEOUT = 600.0


def describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("prompt", nargs="*", metavar="WORD", help="the question; without one a conversation begins")
    address.describe(parser)
    parser.add_argument(
        "--model", metavar="ID", help="model to talk to (default: the first that the server lists and that can chat)"
    )
    parser.add_argument("--system", metavar="TEXT", help="system message: how the model shall behave")
    parser.add_argument("--temperature", type=float, metavar="T", help="0 for always the likeliest word, 2 for chaos")
    parser.add_argument("--top-p", type=float, metavar="P", help="only the likeliest words that together reach P")
    parser.add_argument("--max-tokens", type=int, metavar="N", help="longest answer, in tokens")
    parser.add_argument("--seed", type=int, metavar="N", help="same seed, same answer, as far as the engine can")
    parser.add_argument("--stats", action="store_true", help="after each answer: tokens, time to the first, tokens/s")
    parser.add_argument("--plain", action="store_true", help="no Markdown: show the text as it comes")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the text")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    url, key = address.base_url(args, environ), address.api_key(args, environ)
    question = read_question(args)
    sampling = {name: value for name in SAMPLING if (value := getattr(args, name)) is not None}
    with asyncio.Runner() as runner:
        client = runner.run(connect(url, key))
        conversation = Conversation(client, args.model or "", sampling, args.system, args.stats or args.json)
        try:
            conversation.model = args.model or runner.run(first_model(conversation, url))
            if question is None:
                return session.talk(runner, conversation, lambda: display(args), environ, url, stats=args.stats)
            return ask_once(runner, conversation, question, args)
        except openai.AuthenticationError as error:
            raise address.unauthorized(args, url, key) from error
        except openai.APIError as error:
            raise explain(error, url, conversation.model) from error
        finally:
            runner.run(client.close())


def read_question(args: argparse.Namespace) -> str | None:
    """The words of the command line, and below them what is piped in; None when a conversation is wanted."""
    words = " ".join(args.prompt).strip()
    piped = "" if sys.stdin is None or sys.stdin.isatty() else sys.stdin.read().strip()
    question = "\n\n".join(part for part in (words, piped) if part)
    if question:
        return question
    if args.json or sys.stdin is None or not sys.stdin.isatty() or not sys.stdout.isatty():
        raise Ending("there is no question: give it as words or through a pipe", MISUSED)
    return None


async def connect(url: str, key: str | None) -> openai.AsyncOpenAI:
    """The SDK's client, made in the loop that will use it; it wants a key even where the server wants none."""
    return openai.AsyncOpenAI(base_url=url, api_key=key or "none", timeout=TIMEOUT)


async def first_model(conversation: Conversation, url: str) -> str:
    """The model to talk to when none was named."""
    models = await conversation.models()
    if not models:
        raise Ending(f"{url} serves no model that can chat")
    return models[0]


def display(args: argparse.Namespace) -> Display:
    """What suits the flags and the place where the answer goes."""
    if args.json:
        return Silent()
    console = Console(highlight=False)
    if args.plain or not console.is_terminal or console.is_dumb_terminal:
        return AsItComes()
    return LiveMarkdown(console)


def ask_once(runner: asyncio.Runner, conversation: Conversation, question: str, args: argparse.Namespace) -> int:
    answer = Answer()
    code = 0
    try:
        with display(args) as shown:
            runner.run(conversation.ask(question, answer, shown.show))
    except KeyboardInterrupt:
        code = INTERRUPTED
    if args.json:
        print_json(summary(conversation.model, answer))
    elif args.stats:
        print(session.statistics(answer), file=sys.stderr)
    return code


def summary(model: str, answer: Answer) -> dict[str, Any]:
    """The object of --json."""
    return {
        "model": model,
        "text": answer.text,
        "reasoning": answer.reasoning or None,
        "finish_reason": answer.finish_reason,
        "usage": answer.usage,
        "ttft": answer.ttft,
        "seconds": answer.seconds,
        "tokens_per_second": answer.tokens_per_second,
    }
