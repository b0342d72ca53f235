"""One engine, three ways to ask it: streamed, whole, and through vLLM's own server. All say the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from backends.events import Delta
from tests.backends.conftest import Served
from tests.backends.vllm.asking import says

pytestmark = pytest.mark.vllm

ENGLISH = (
    "What is the capital of France?",
    "Name three colours.",
    "Write a haiku about rain.",
    "How do birds fly?",
    "Translate 'good morning' into Spanish.",
    "Count from one to ten.",
    "Give me a recipe for pancakes.",
    "Who wrote Hamlet?",
    "Explain gravity to a child.",
    "Write a limerick.",
    "List the planets.",
    "What is 12 times 12?",
    "Describe the sea.",
    "Why do cats purr?",
    "Tell me a joke.",
    "Write an SQL query that counts users.",
    "Print hello in C.",
    'Quote: "He said \\"no\\"."',
    "Use a tab\there and a newline\nthere.",
    "A" * 300,
)
OTHER = (
    "Say \U0001f600 three times.",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 is a family. Repeat it.",
    "Repeat: \U0001f1eb\U0001f1f7 \U0001f1e9\U0001f1ea \U0001f1ef\U0001f1f5",
    "Repeat: na\u00efve caf\u00e9 \u2014 \u201cquoted\u201d",
    "\u4f60\u597d\uff0c\u4f60\u662f\u8c01\uff1f",
    "\u65e5\u672c\u306e\u9996\u90fd\u306f\u3069\u3053\u3067\u3059\u304b\uff1f",
    "\ud55c\uad6d\uc5b4\ub85c \uc778\uc0ac\ud574 \uc8fc\uc138\uc694.",
    "\u041a\u0430\u043a \u0434\u0435\u043b\u0430?",
    "\u0645\u0631\u062d\u0628\u0627",
    "Repeat: e\u0301 a\u0308 \u200b.",
)
PROMPTS = (*ENGLISH, *OTHER, *(f"Write one sentence about the number {number}." for number in range(20)))
TOKENS = 12


async def own_server(client: Any) -> Any:
    """vLLM's handler of chats, over the engine that is there."""
    from starlette.datastructures import State
    from vllm.entrypoints.launchers.api_server.app_state import init_app_state
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    arguments = make_arg_parser(FlexibleArgumentParser()).parse_args(["--model", client.model_config.model])
    arguments.served_model_name = ["m"]
    state = State()
    await init_app_state(client, state, arguments, await client.get_supported_tasks())
    return state.openai_serving_chat


@pytest.fixture(scope="module")
def handler(vllm_chat: Served) -> Any:
    own = vllm_chat.backend._loaded
    assert own is not None
    return vllm_chat.runner.run(own_server(own.client))


def theirs(served: Served, handler: Any, **body: Any) -> Any:
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest

    request = ChatCompletionRequest.model_validate({"model": "m", "temperature": 0.0, "max_tokens": TOKENS, **body})
    return served.runner.run(handler.create_chat_completion(request)).choices[0]


def test_there_are_fifty_prompts() -> None:
    assert len(set(PROMPTS)) == 50


@pytest.mark.parametrize("prompt", PROMPTS, ids=range(len(PROMPTS)))
def test_the_answer_is_the_same(vllm_chat: Served, handler: Any, prompt: str) -> None:
    events = vllm_chat.events(says(prompt, max_tokens=TOKENS))
    streamed = "".join(event.text for event in events if isinstance(event, Delta))
    whole = vllm_chat.answer(says(prompt, max_tokens=TOKENS)).answers[0]
    their = theirs(vllm_chat, handler, messages=[{"role": "user", "content": prompt}])
    assert streamed == whole.text == their.message.content
    assert whole.reason == their.finish_reason


@pytest.mark.parametrize("prompt", [*ENGLISH[:3], *OTHER[:5]], ids=range(8))
def test_the_logprobs_are_the_same(vllm_chat: Served, handler: Any, prompt: str) -> None:
    ours = vllm_chat.answer(says(prompt, max_tokens=TOKENS, logprobs=2)).answers[0]
    messages = [{"role": "user", "content": prompt}]
    their = theirs(vllm_chat, handler, messages=messages, logprobs=True, top_logprobs=2)
    assert ours.logprobs is not None
    assert b"".join(entry.data for entry in ours.logprobs).startswith(ours.text.rstrip("\ufffd").encode())
    for mine, entry in zip(ours.logprobs, their.logprobs.content, strict=False):
        assert mine.token == entry.token
        assert mine.logprob == pytest.approx(entry.logprob, abs=1e-3)


def test_several_at_once_do_not_mix(vllm_chat: Served) -> None:
    async def all_at_once() -> list[str]:
        async def one(prompt: str) -> str:
            events = vllm_chat.backend.run(says(prompt, max_tokens=TOKENS))
            return "".join([event.text async for event in events if isinstance(event, Delta)])

        return await asyncio.gather(*(one(prompt) for prompt in ENGLISH[:8] * 4))

    texts = vllm_chat.runner.run(all_at_once())
    assert texts[:8] == texts[8:16] == texts[16:24] == texts[24:]
