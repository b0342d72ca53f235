"""A conversation with any OpenAI-compatible server, through the `openai` SDK: questions in, streamed answers out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import openai
from msgspec import Struct

from openai_proxy.cli import address
from openai_proxy.cli.ending import Ending
from openai_proxy.cli.plain import one_line

Show: TypeAlias = Callable[[str, str], None]


class Answer(Struct):
    """What came of a question, also when it was stopped in the middle. Times are in seconds."""

    text: str = ""
    reasoning: str = ""
    finish_reason: str | None = None
    usage: dict[str, Any] | None = None
    pieces: int = 0
    ttft: float | None = None
    seconds: float = 0.0

    @property
    def tokens(self) -> int:
        """Tokens of the answer as the server counted them, or the pieces that arrived."""
        counted = (self.usage or {}).get("completion_tokens")
        return counted if isinstance(counted, int) else self.pieces

    @property
    def tokens_per_second(self) -> float | None:
        """Speed after the first token; None when there were too few to tell."""
        if self.ttft is None or self.tokens < 2 or self.seconds <= self.ttft:
            return None
        return (self.tokens - 1) / (self.seconds - self.ttft)


class Conversation:
    """The turns so far. `sampling` are request fields such as temperature, sent with each question."""

    def __init__(
        self, client: openai.AsyncOpenAI, model: str, sampling: Mapping[str, Any], system: str | None, count: bool
    ) -> None:
        self.client = client
        self.model = model
        self.sampling = dict(sampling)
        self.system = system
        self.count = count
        self.turns: list[dict[str, str]] = []

    def clear(self) -> None:
        self.turns = []

    @property
    def messages(self) -> list[dict[str, str]]:
        system = [{"role": "system", "content": self.system}] if self.system else []
        return [*system, *self.turns]

    async def ask(self, question: str, answer: Answer, show: Show) -> None:
        """Stream the answer into `answer`, telling `show` each piece of text and of reasoning.

        The question and what was answered become turns, also when this is cancelled; then the connection is closed,
        so that the server stops as well. Raises openai.APIError.
        """
        began = time.monotonic()
        self.turns.append({"role": "user", "content": question})
        counting = {"stream_options": {"include_usage": True}} if self.count else {}
        request: dict[str, Any] = {"model": self.model, "messages": self.messages, **self.sampling, **counting}
        try:
            stream = await self.client.chat.completions.create(stream=True, **request)
            async with stream:
                async for chunk in stream:
                    take(chunk, answer, show, time.monotonic() - began)
        finally:
            answer.seconds = time.monotonic() - began
            self.remember(answer)

    def remember(self, answer: Answer) -> None:
        """Keep the answer as a turn; a question that got none is taken back."""
        if answer.text:
            self.turns.append({"role": "assistant", "content": answer.text})
        else:
            self.turns.pop()

    async def models(self) -> list[str]:
        """The ids of the models that can chat, as far as the server tells what they can."""
        page = await self.client.with_options(max_retries=0).models.list()
        return [model.id for model in page.data if "chat" in (model.model_extra or {}).get("kinds", ("chat",))]


def take(chunk: openai.types.chat.ChatCompletionChunk, answer: Answer, show: Show, seconds: float) -> None:
    """Add one chunk to the answer."""
    if chunk.usage is not None:
        answer.usage = chunk.usage.model_dump(exclude_none=True)
    for choice in chunk.choices or ():
        answer.finish_reason = choice.finish_reason or answer.finish_reason
        delta: Any = choice.delta  # null from some servers, whatever the type says
        if delta is None:
            continue
        text = delta.content or ""
        extra = delta.model_extra or {}
        reasoning = extra.get("reasoning_content") or extra.get("reasoning") or ""
        if not text and not reasoning:
            continue
        if answer.ttft is None:
            answer.ttft = seconds
        answer.pieces += 1
        answer.text += text
        answer.reasoning += reasoning
        show(text, reasoning)


def statistics(answer: Answer) -> str:
    """Tokens, time to the first and speed, in one line."""
    speed = answer.tokens_per_second
    parts = [f"{answer.tokens} tokens" if answer.usage else f"{answer.pieces} pieces"]
    parts += [f"first after {answer.ttft:.2f} s"] if answer.ttft is not None else []
    parts += [f"{speed:.1f} tokens/s"] if speed is not None else []
    return ", ".join([*parts, f"{answer.seconds:.2f} s in all"])


def explain(error: openai.APIError, url: str, model: str) -> Ending:
    """One line for an error of the SDK, without retelling its classes."""
    match error:
        case openai.APITimeoutError():
            return Ending(f"{url} did not answer in time")
        case openai.APIConnectionError():
            return unreachable(url, innermost(error))
        case openai.NotFoundError(code="model_not_found"):
            return Ending(f"{url} has no model {model!r}; `openai-proxy models` lists what it has")
        case openai.APIStatusError():
            return Ending(f"{url} answered {error.status_code}: {one_line(said(error))}")
        case _:
            return Ending(f"the answer broke off: {one_line(error.message)}")


def innermost(error: BaseException) -> BaseException:
    """What a failed connection failed of in the first place."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    return error


def unreachable(url: str, reason: BaseException) -> Ending:
    if isinstance(reason, ConnectionRefusedError):
        return address.refused(url)
    words = reason.strerror if isinstance(reason, OSError) else str(reason)
    return Ending(f"cannot reach {url}: {one_line(words or type(reason).__name__)}")


def said(error: openai.APIStatusError) -> str:
    """The server's own words, when it answered in OpenAI's shape."""
    body = error.body
    message = body.get("message") if isinstance(body, dict) else None
    return message if isinstance(message, str) else error.message
