"""A request of another protocol, said in OpenAI's fields -> what an engine is asked, with the same checks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, structs

from backends import Kind
from backends.requests import DetokenizeRequest, Request, ScoreRequest, TokenizeRequest, TranscriptionRequest
from openai_proxy.bodies.chat import chat_request
from openai_proxy.bodies.chat_body import ChatBody
from openai_proxy.bodies.checks import model_of_kind
from openai_proxy.bodies.completion import CompletionBody, completion_request
from openai_proxy.bodies.embedding import EmbeddingBody, embedding_request
from openai_proxy.bodies.fetched import with_pictures
from openai_proxy.bodies.image_bodies import EditBody, GenerationBody, VariationFields
from openai_proxy.bodies.image_request import given_of, image_request
from openai_proxy.bodies.speech import speech_request
from openai_proxy.bodies.speech_body import SpeechBody, manner
from openai_proxy.bodies.transcription import Task, TranscriptionBody, transcription_request
from openai_proxy.config import Config, Limits
from openai_proxy.decode import decode, locate
from openai_proxy.errors import InvalidRequest
from openai_proxy.fetching.fetcher import Fetcher
from openai_proxy.forms import SEVERAL
from openai_proxy.router import Router
from openai_proxy.served import Served

T = TypeVar("T", bound=Struct)
WITHOUT_FORM = (ScoreRequest, TokenizeRequest, DetokenizeRequest, TranscriptionRequest)


class Asked(Struct, frozen=True, kw_only=True):
    """A request and its model; the format that its sounds or pictures are wanted in, and how much faster they are to
    be played than the engine makes them.
    """

    request: Request
    served: Served
    format: str = ""
    speed: float = 1.0


class Asking:
    """`config` is asked each time: it may be reloaded."""

    def __init__(self, router: Router, fetcher: Fetcher, config: Callable[[], Config]) -> None:
        self.router = router
        self.fetcher = fetcher
        self.config = config

    async def __call__(self, kind: Kind, fields: Mapping[str, Any], owner: str) -> Asked:
        """What `fields`, OpenAI's for a body of that kind, ask for, and `owner`. Fields that are None are left out.

        Files are bytes: `file` to transcribe, a list of `image[]` to edit. A transcription may have the `task`
        translate. Raises InvalidRequest, ModelNotFound, Unsupported and their kin, each naming OpenAI's field.
        """
        fields = {name: value for name, value in fields.items() if value is not None}
        limits, model = self.config().limits, fields.get("model")
        if not isinstance(model, str | None):
            raise InvalidRequest("model must be a text.", param="model")
        served, name = model_of_kind(self.router, model, kind, limits)
        match kind:
            case "chat":
                return await self._chat(fields, served, name, limits, owner)
            case "completion":
                completion, given = await decode(written(fields), CompletionBody)
                return asked(completion_request(completion, given, name, served.model, limits), served)
            case "embedding":
                embedding, given = await decode(written(fields), EmbeddingBody)
                return asked(embedding_request(embedding, given, name, served.model, limits), served)
            case "image":
                return await self._image(fields, served, name, limits)
            case "speech":
                return await self._speech(fields, served, name, limits)
            case "transcription":
                task: Task = "translate" if fields.pop("task", None) == "translate" else "transcribe"
                heard = converted(fields, TranscriptionBody)
                return asked(transcription_request(heard, fields.keys(), task, name, served.model, limits), served)
            case _:
                raise InvalidRequest(f"There are no jobs of the kind {kind}.")

    async def _chat(self, fields: Mapping[str, Any], served: Served, name: str, limits: Limits, owner: str) -> Asked:
        body, given = await decode(written(fields), ChatBody)
        request = chat_request(body, given, name, served.model, limits)
        request = structs.replace(request, form=None)
        return asked(await with_pictures(request, served, self.fetcher, limits, {}, owner), served)

    async def _image(self, fields: Mapping[str, Any], served: Served, name: str, limits: Limits) -> Asked:
        body: VariationFields
        if "image[]" in fields:
            body = converted(fields, EditBody)
            given = given_of(body, frozenset(name.removesuffix(SEVERAL) for name in fields))
        else:
            body, given = await decode(written(fields), GenerationBody)
        request = await asyncio.to_thread(image_request, body, given, name, served.known(name), limits)
        return asked(request, served, body.output_format or "")

    async def _speech(self, fields: Mapping[str, Any], served: Served, name: str, limits: Limits) -> Asked:
        body, given = await decode(written(fields), SpeechBody)
        how = manner(body, given)
        request = speech_request(body, given, how, served, name, limits)
        wanted = body.speed or 1.0
        return asked(request, served, body.response_format or "", 1.0 if request.speed == wanted else wanted)


def asked(request: Request, served: Served, format: str = "", speed: float = 1.0) -> Asked:
    """The request without a form: nobody relays the answer as it is."""
    if not isinstance(request, WITHOUT_FORM):
        request = structs.replace(request, form=None)
    return Asked(request=request, served=served, format=format, speed=speed)


def written(fields: Mapping[str, Any]) -> bytes:
    """The body. Raises InvalidRequest for what JSON cannot say."""
    try:
        return msgspec.json.encode(fields)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise InvalidRequest(f"This cannot be said in JSON: {error}") from error


def converted(fields: Mapping[str, Any], kind: type[T]) -> T:
    """A body with files. Raises InvalidRequest."""
    try:
        return msgspec.convert(dict(fields), kind, builtin_types=(bytes,))
    except msgspec.ValidationError as error:
        raise locate(dict(fields), kind) or InvalidRequest(str(error)) from None
