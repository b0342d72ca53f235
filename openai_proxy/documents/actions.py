"""What may be asked about passages: a question, a summary, an extract; never more than fits into the model's context.

An action asks by a `Reader`, which holds the request (its model, system message, history, sampling) that the prompts go
into as the user's last message. Query and Summarize leave the last question to their caller, who may stream it or make
a job of it: `await Query(question).prepared(reader, passages)` gives its prompt, `reader.request(prompt)` the request.
Texts stand in triple quotes, which they cannot close, and in no other message.

The prompts' words are those of h2oGPT, https://github.com/h2oai/h2ogpt.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence

from msgspec import Struct

from openai_proxy.documents.fence import fenced
from openai_proxy.documents.passage import Passage
from openai_proxy.documents.reader import Piece, Reader
from openai_proxy.errors import TooManyItems

__all__ = ["Extract", "Prepared", "Query", "Reader", "Summarize"]

PRE_QUERY = (
    "Pay attention and remember the information below, which will help to answer the question or imperative after the "
    "context ends."
)
QUERY = "According to only the information in the document sources provided within the context above: "
PRE_SUMMARY = ""
SUMMARY = (
    "Using only the information in the document sources above, write a condensed and concise summary of key results "
    "(preferably as bullet points)."
)
PRE_EXTRACTION = "In order to extract information, pay attention to the following text."
EXTRACTION = "Using only the information in the document sources above, extract "


class Prepared(Struct, frozen=True):
    """The last prompt of an action, and the passages it came from, in their order."""

    prompt: str
    sources: tuple[Passage, ...]


class Query(Struct, frozen=True):
    """A question about passages: of those, the best first, as many as fit."""

    instruction: str
    before: str = PRE_QUERY
    after: str = QUERY

    def prompt(self, texts: Sequence[str]) -> str:
        return fenced(self.before, texts, joined(self.after, self.instruction))

    async def prepared(self, reader: Reader, passages: Sequence[Passage]) -> Prepared:
        """The question with its texts, without any where there are none. Raises ContextExceeded where nothing fits."""
        if not passages:
            return Prepared(self.instruction, ())
        [group, *_] = await reader.packed(self.prompt, [passage.text for passage in passages], 1)
        return Prepared(self.prompt(texts_of(group)), tuple(passages[: group[-1].place + 1]))


class Summarize(Struct, frozen=True):
    """A summary of all passages: of parts first, then of those summaries, until the rest is one prompt.

    `instruction` says what it shall look at; may be empty.
    """

    instruction: str = ""
    before: str = PRE_SUMMARY
    after: str = SUMMARY

    def prompt(self, texts: Sequence[str]) -> str:
        wanted = f"Focusing on {self.instruction}, {self.after}" if self.instruction.strip() else self.after
        return fenced(self.before, texts, wanted)

    async def prepared(self, reader: Reader, passages: Sequence[Passage]) -> Prepared:
        """The last prompt, once all others are answered.

        Raises ContextExceeded, TooManyItems where it would take too many questions, or what the model raises.
        """
        texts = [passage.text for passage in passages]
        while True:
            groups = await reader.packed(self.prompt, texts)
            if len(groups) <= 1:
                return Prepared(self.prompt(texts_of(groups[0]) if groups else ()), tuple(passages))
            check_questions(reader, len(groups) + 1)
            most = min(reader.answer, reader.context // 4)
            texts = [await reader.ask(self.prompt(texts_of(group)), most) for group in groups]


class Extract(Struct, frozen=True):
    """What is in each passage of what `instruction` asks for."""

    instruction: str
    before: str = PRE_EXTRACTION
    after: str = EXTRACTION

    def prompt(self, texts: Sequence[str]) -> str:
        return fenced(self.before, texts, joined(self.after, self.instruction))

    async def answers(self, reader: Reader, passages: Sequence[Passage]) -> AsyncGenerator[str, None]:
        """One answer a passage, in their order; of one that is too long, one for each part.

        Raises ContextExceeded, TooManyItems where it would take too many questions, or what the model raises.
        """
        parts = [group for each in passages for group in await reader.packed(self.prompt, [each.text])]
        check_questions(reader, len(parts))
        for group in parts:
            yield await reader.ask(self.prompt(texts_of(group)))


def texts_of(group: Sequence[Piece]) -> list[str]:
    return [piece.text for piece in group]


def joined(after: str, instruction: str) -> str:
    """Two sentences, with a blank between them."""
    return f"{after}{instruction}" if not after or after[-1].isspace() else f"{after} {instruction}"


def check_questions(reader: Reader, wanted: int) -> None:
    """Raises TooManyItems before the first question is asked in vain."""
    if wanted > reader.questions:
        raise TooManyItems(
            f"That would take {wanted} questions to the model; {reader.questions} are allowed: choose fewer or shorter "
            "texts."
        )
