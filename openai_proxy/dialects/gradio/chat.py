"""`/submit_nochat_api`: a prompt, or a question about passages, as a dict -> the answer as a dict."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Literal

from msgspec import structs

from backends.events import Delta, Finish, Reason
from backends.events import Event as EngineEvent
from backends.requests import ChatRequest, Request
from openai_proxy.bodies.asking import Asked
from openai_proxy.bodies.chat_body import ChatBody
from openai_proxy.dialects import Edge
from openai_proxy.dialects.gradio.answers import Answer, sampling_of
from openai_proxy.dialects.gradio.events import Event, JobFailed
from openai_proxy.dialects.gradio.jobs import last, results
from openai_proxy.documents.actions import Extract
from openai_proxy.documents.reader import Reader
from openai_proxy.errors import InvalidRequest
from openai_proxy.h2ogpt.actions import action_of, documents_kept, passages_of
from openai_proxy.h2ogpt.blame import blamed, told
from openai_proxy.h2ogpt.models import model_of
from openai_proxy.h2ogpt.reading import read
from openai_proxy.h2ogpt.wish import Wish
from openai_proxy.jobs.result import Result

KIND: Literal["chat"] = "chat"
# What a dict may say of OpenAI's fields; `user` may hold a password here.
FIELDS = frozenset(ChatBody.__struct_fields__) - {"stream", "stream_options", "n", "user"}


class Chats:
    """The answers."""

    def __init__(self, edge: Edge) -> None:
        self.edge = edge

    async def __call__(self, event: Event) -> str:
        """The whole answer. Raises InvalidRequest and its kin, or JobFailed."""
        given, edge = event.given, self.edge
        served, name = model_of(given, edge.router, KIND, edge.config.limits)
        wish = read(given, KIND, served.known(name), documents=documents_kept())
        with blamed(wish.names):
            given = {field: finite(field, value) for field, value in wish.fields.items() if field in FIELDS}
            asked = await edge.asking(KIND, {**given, "model": name}, event.caller.name)
        answer = Answer(
            prompt=wish.instruction,
            model=name,
            kind=wish.action or KIND,
            sampling=sampling_of(asked.request),
            ignored=wish.ignored,
        )
        try:
            if wish.action is None:
                await self._say(event, answer, asked)
            else:
                await self._act(event, answer, asked, wish)
        except JobFailed as error:
            failure = error.failure
            message, param = told(failure.message, failure.param, wish.names)
            raise JobFailed(structs.replace(failure, message=message, param=param)) from error
        return answer.written(whole=True)

    async def _say(self, event: Event, answer: Answer, asked: Asked) -> None:
        """Ask the model, and tell what it says as it comes."""
        async with aclosing(results(self.edge, event, asked)) as found:
            async for result in found:
                event.says(partial(_partly, answer, result))
        _whole(answer, result, event)

    async def _act(self, event: Event, answer: Answer, asked: Asked, wish: Wish) -> None:
        """Ask about passages."""
        owner, documents = event.caller.name, self.edge.documents
        if event.session and wish.collections:
            wish = structs.replace(wish, collections=await documents.within(owner, event.session, wish.collections))
        passages = await passages_of(wish, documents, owner)
        request = asked.request
        assert isinstance(request, ChatRequest)
        reader = Reader(request, asked.served, partial(self._asked, event, answer, asked))
        action = action_of(wish)
        if isinstance(action, Extract):
            await self._extract(event, answer, action.answers(reader, passages))
            answer.passages, answer.seconds = passages, event.seconds
            return
        prepared = await action.prepared(reader, passages)
        answer.prompt, answer.passages = prepared.prompt, prepared.sources
        await self._say(event, answer, structs.replace(asked, request=reader.request(prepared.prompt)))

    async def _extract(self, event: Event, answer: Answer, answers: AsyncGenerator[str, None]) -> None:
        """The answers to all passages, as one text that is a list."""
        made: list[str] = []
        async with aclosing(answers):
            async for each in answers:
                made.append(each)
                event.says(partial(_listed, answer, made))
        answer.response = repr(made)

    async def _asked(
        self, event: Event, answer: Answer, asked: Asked, request: Request
    ) -> AsyncGenerator[EngineEvent, None]:
        """One question on the way to the answer: a job of its own."""
        if not isinstance(request, ChatRequest):
            async with aclosing(self.edge.router.run(request)) as events:
                async for each in events:
                    yield each
            return
        result = await last(self.edge, event, structs.replace(asked, request=request), main=False)
        answer.prompt = request.messages[-1].text
        _count(answer, result)
        yield Delta(result.text)
        yield Finish(_reason(result) or "stop")


def finite(field: str, value: Any) -> Any:
    """The value. Raises InvalidRequest for a number that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidRequest(f"{field} must be a finite number.", param=field)
    return value


def _partly(answer: Answer, result: Result) -> str:
    return structs.replace(answer, response=result.text).written(whole=False)


def _listed(answer: Answer, made: list[str]) -> str:
    return structs.replace(answer, response=repr(made)).written(whole=False)


def _whole(answer: Answer, result: Result, event: Event) -> None:
    answer.response, answer.reason, answer.seconds = result.text, _reason(result), event.seconds
    _count(answer, result)


def _count(answer: Answer, result: Result) -> None:
    if result.usage is not None:
        answer.usages.append(result.usage)


def _reason(result: Result) -> Reason | None:
    return result.answers[0].reason if result.answers else None
