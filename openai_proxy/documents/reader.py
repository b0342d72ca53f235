"""A model that reads texts: how much of them fits into its context, and what it answers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import NamedTuple, TypeAlias

from msgspec import structs

from backends.errors import ContextExceeded, OtherKind, Refused
from backends.events import Event, Outcome, Tokens
from backends.requests import ChatRequest, CompletionRequest, Message, Part, Request, Text, TokenizeRequest
from openai_proxy.documents.chunks import split
from openai_proxy.errors import TooManyItems
from openai_proxy.served import Served

# Tokens of the context where nobody knows it; of an answer whose length is not said at most this share of it.
CONTEXT, ANSWER = 8192, 4
# Tokens of a picture in most models, and around a message; characters of a token where none can be counted: few.
PICTURE, AROUND, CHARACTERS = 1000, 8, 2.5
# Characters of a token in the longest of texts: no tokenizer in use has more on average.
LONGEST = 8
# Questions that one action may ask.
QUESTIONS = 100
TOO_MANY = "That would take too many questions to the model: choose fewer or shorter texts."


# Makes a prompt of texts.
Frame: TypeAlias = Callable[[Sequence[str]], str]


class Piece(NamedTuple):
    """A text, or a part of one, and the place of that text among those that were given."""

    text: str
    place: int


class Reader:
    """A model and how it is asked: `request` without the texts, whose last user message (or prompt) is replaced.

    Tools are left out: no text shall call them. `run` answers a request with events: the router's `run`, or what makes
    a job of it. After `questions` of `ask` there are no more.
    """

    def __init__(
        self,
        request: ChatRequest | CompletionRequest,
        served: Served,
        run: Callable[[Request], AsyncGenerator[Event, None]],
        questions: int = QUESTIONS,
    ) -> None:
        self.model = served.known(request.model)
        self.context = self.model.context or CONTEXT
        self.questions = questions
        self._request = _without_tools(request)
        self._run = run
        wanted = request.sampling.max_tokens
        self.answer = self.context // ANSWER if wanted is None else wanted

    def request(self, prompt: str) -> ChatRequest | CompletionRequest:
        """The request that asks this."""
        request = self._request
        if isinstance(request, CompletionRequest):
            return structs.replace(request, prompts=(prompt,))
        messages = list(request.messages)
        pictures: tuple[Part, ...] = ()
        if messages and messages[-1].role == "user":
            pictures = tuple(part for part in messages.pop().parts if type(part) is not Text)
        asked = Message(role="user", parts=(Text(prompt), *pictures))
        return structs.replace(request, messages=(*messages, asked))

    async def fits(self, prompt: str) -> bool:
        """Whether it and its answer are within the model's context."""
        return await self.length(prompt) + self.answer <= self.context

    async def length(self, prompt: str) -> int:
        """The tokens of the whole request that asks this."""
        request = self.request(prompt)
        if isinstance(request, CompletionRequest):
            return await self._tokens(prompt, special=True) + AROUND
        pictures = sum(type(part) is not Text for message in request.messages for part in message.parts)
        plain = [structs.replace(each, parts=(Text(each.text),)) for each in request.messages]
        request = structs.replace(request, messages=tuple(plain))
        return await self._tokens(request) + pictures * PICTURE

    async def count(self, text: str) -> int:
        """The tokens of a text."""
        return await self._tokens(text)

    async def ask(self, prompt: str, most: int | None = None) -> str:
        """The whole answer, of at most so many tokens. Raises what the model raises, or TooManyItems."""
        self.questions -= 1
        if self.questions < 0:
            raise TooManyItems(TOO_MANY)
        request = self.request(prompt)
        sampling = structs.replace(request.sampling, n=1, logprobs=None, prompt_logprobs=None)
        if most is not None:
            sampling = structs.replace(sampling, max_tokens=most, constraint=None)
        found = await Outcome.of(self._run(structs.replace(request, sampling=sampling)))
        return found.answers[0].text.strip() if found.answers else ""

    async def packed(self, frame: Frame, texts: Sequence[str], most: int | None = None) -> list[list[Piece]]:
        """The texts in order, as groups of which each fits into one prompt, and `most` groups of them if that is given;
        a text that is too long is cut.

        `frame` makes a prompt of a group's texts. Raises ContextExceeded where nothing fits, TooManyItems where there
        are surely more groups than questions left.
        """
        room = self.context - self.answer - await self.length(frame(())) - AROUND
        if room < AROUND:
            raise ContextExceeded(
                f"The model takes at most {self.context} tokens: the question and its answer leave no room for texts.",
                param="messages",
            )
        if most is None and sum(map(len, texts)) > self.questions * room * LONGEST:
            raise TooManyItems(TOO_MANY)
        groups: list[list[Piece]] = []
        left = 0
        async with aclosing(self._pieces(texts, room)) as pieces:
            async for piece, size in pieces:
                if size > left or not groups:
                    if most is not None and len(groups) >= most:
                        break
                    groups.append([])
                    left = room
                groups[-1].append(piece)
                left -= size
        return [smaller for group in groups for smaller in await self._fitting(frame, group)][:most]

    async def _fitting(self, frame: Frame, group: list[Piece]) -> list[list[Piece]]:
        """The group, in halves where its parts have more tokens together than one by one."""
        if await self.fits(frame([piece.text for piece in group])):
            return [group]
        if len(group) == 1:
            [(text, place)] = group
            group = [Piece(part, place) for part in split(text, max(1, len(text) // 2))]
            if len(group) == 1:
                raise ContextExceeded("A text does not fit into the model's context.", param="messages")
        half = len(group) // 2
        return [*await self._fitting(frame, group[:half]), *await self._fitting(frame, group[half:])]

    async def _pieces(self, texts: Sequence[str], room: int) -> AsyncGenerator[tuple[Piece, int], None]:
        """The texts with their tokens, in pieces where there are more than there is room for; none is read in vain."""
        for place, text in enumerate(texts):
            for window in windows(text, room * LONGEST):
                for part, size in await self._parts(window, room):
                    yield Piece(part, place), size

    async def _parts(self, text: str, room: int) -> list[tuple[str, int]]:
        """A text with its tokens, and those between it and the next; in pieces where it has more than there is room."""
        size = await self._tokens(text) + 2
        if size <= room:
            return [(text, size)]
        pieces = split(text, max(1, len(text) * room * 9 // (size * 10)))
        if len(pieces) < 2:
            pieces = split(text, max(1, len(text) // 2))
        if len(pieces) < 2:
            return [(text, size)]
        return [part for piece in pieces for part in await self._parts(piece, room)]

    async def _tokens(self, prompt: str | ChatRequest, *, special: bool = False) -> int:
        """Counted by the model's tokenizer, estimated where it has none."""
        if "tokenize" in self.model.kinds:
            request = TokenizeRequest(model=self._request.model, prompt=prompt, special=special)
            try:
                async with aclosing(self._run(request)) as events:
                    async for event in events:
                        if isinstance(event, Tokens):
                            return len(event.ids)
            except (OtherKind, Refused):
                pass  # a chat that its tokenizer does not take
        messages = [prompt] if isinstance(prompt, str) else [message.text for message in prompt.messages]
        return sum(int(len(each) / CHARACTERS) + AROUND for each in messages)


def windows(text: str, most: int) -> Iterator[str]:
    """A text as pieces of at most so many characters, between words where there are any."""
    while len(text) > most:
        end = max(text.rfind(" ", most // 2, most), text.rfind("\n", most // 2, most))
        end = most if end < 0 else end + 1
        yield text[:end]
        text = text[end:]
    yield text


def _without_tools(request: ChatRequest | CompletionRequest) -> ChatRequest | CompletionRequest:
    if isinstance(request, ChatRequest):
        return structs.replace(request, tools=(), tool_choice="auto", parallel_tool_calls=None, form=None)
    return structs.replace(request, form=None)
