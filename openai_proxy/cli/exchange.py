"""What `openai-proxy chat` does once it knows whom to ask: one question, or a conversation."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping
from typing import Any

import openai
from rich.console import Console

from openai_proxy.cli import address
from openai_proxy.cli.conversation import Answer, Conversation, explain, statistics
from openai_proxy.cli.display import AsItComes, Display, LiveMarkdown, Silent
from openai_proxy.cli.ending import INTERRUPTED, Ending
from openai_proxy.cli.table import print_json

SAMPLING = ("temperature", "top_p", "max_tokens", "seed")
TIMEOUT = 600.0


def run(args: argparse.Namespace, environ: Mapping[str, str], url: str, who: address.Who, question: str | None) -> int:
    """Ask `question`, or whatever the user types when it is None; the exit code."""
    sampling = {name: value for name in SAMPLING if (value := getattr(args, name)) is not None}
    with asyncio.Runner() as runner:
        client = runner.run(connect(url, who))
        conversation = Conversation(client, args.model or "", sampling, args.system, args.stats or args.json)
        try:
            conversation.model = args.model or runner.run(first_model(conversation, url))
            if question is None:
                from openai_proxy.cli import session  # its line editor is not needed for a single question

                return session.talk(runner, conversation, lambda: display(args), environ, url, stats=args.stats)
            return ask_once(runner, conversation, question, args)
        except openai.AuthenticationError as error:
            raise address.unauthorized(args, url, who, error.code) from error
        except openai.APIError as error:
            raise explain(error, url, conversation.model) from error
        finally:
            runner.run(client.close())


async def connect(url: str, who: address.Who) -> openai.AsyncOpenAI:
    """The SDK's client, made in the loop that will use it; it wants a key even where the server wants none."""
    return openai.AsyncOpenAI(base_url=url, api_key="none", default_headers=who, timeout=TIMEOUT)


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
        print(statistics(answer), file=sys.stderr)
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
