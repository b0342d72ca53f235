"""What a job's events amount to, as far as they are there."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from backends.events import Answer, Delta, Embedding, Finish, Segment, Usage, extend_calls
from openai_proxy.jobs.job import File, JobEvent


class Result(Struct):
    """Answers, vectors (float32, native byte order), segments, finished files and the latest unfinished one of each.

    `pieces` are the texts of the first answer as they came; `usage` is None before the engine told it.
    """

    answers: list[Answer] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)
    vectors: list[bytes] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    unfinished: dict[int, File] = field(default_factory=dict)
    usage: Usage | None = None

    @classmethod
    def of(cls, events: Iterable[JobEvent]) -> Result:
        """Gather events in the order in which they came."""
        gathered = cls()
        for event in events:
            gathered.take(event)
        return gathered

    @property
    def text(self) -> str:
        """The first answer."""
        return "".join(self.pieces)

    def take(self, event: JobEvent) -> None:
        """One more event."""
        if type(event) is Delta:
            self._say(event)
        elif type(event) is Finish:
            self._answer(event.index).reason = event.reason
        elif type(event) is Embedding:
            self.vectors.extend([b""] * (event.index + 1 - len(self.vectors)))
            self.vectors[event.index] = event.vector
        elif type(event) is Segment:
            self.segments.append(event)
        elif type(event) is Usage:
            self.usage = event
        elif type(event) is File:
            self._keep(event)

    def _say(self, event: Delta) -> None:
        if event.index == 0 and event.text:
            self.pieces.append(event.text)
        answer = self._answer(event.index)
        answer.text += event.text
        answer.reasoning += event.reasoning
        if event.tool is not None:
            extend_calls(answer.calls, event.tool)

    def _keep(self, file: File) -> None:
        if file.partial is not None:
            self.unfinished[file.index] = file
            return
        self.unfinished.pop(file.index, None)
        self.files.append(file)
        self.files.sort(key=lambda each: each.index)

    def _answer(self, index: int) -> Answer:
        while index >= len(self.answers):
            self.answers.append(Answer())
        return self.answers[index]
