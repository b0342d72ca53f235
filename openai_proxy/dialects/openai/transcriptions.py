"""`POST /v1/audio/transcriptions` and `POST /v1/audio/translations`.

Source: https://platform.openai.com/docs/api-reference/audio, as the `openai` Python SDK types it. Translations take
`language` and `stream` too, as vLLM's do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Set
from functools import partial

from backends.events import Outcome
from backends.requests import TranscriptionRequest
from openai_proxy.bodies.checks import check_kind, model_of_kind
from openai_proxy.bodies.transcription import Task, TranscriptionBody, TranslationBody, shown, transcription_request
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.transcript_frames import PieceFrames, TranscriptFrames
from openai_proxy.dialects.openai.transcripts import transcript
from openai_proxy.errors import UnsupportedMediaType
from openai_proxy.forms import boundary_of, read_form
from openai_proxy.served import Served
from openai_proxy.wire import Frames, Incoming, Reply, Stream


class Transcriptions:
    """Writes down what is said, or says it in English."""

    def __init__(self, edge: Edge, task: Task) -> None:
        self.edge = edge
        self.task = task
        self.body = TranscriptionBody if task == "transcribe" else TranslationBody

    async def __call__(self, incoming: Incoming) -> Reply | Stream:
        boundary = boundary_of(incoming.content_type)
        if boundary is None:
            raise UnsupportedMediaType("Content-Type must be multipart/form-data with a boundary.")
        limits = self.edge.config.limits
        body, fields = await asyncio.to_thread(read_form, incoming.body, boundary, self.body, limits)
        served, name = model_of_kind(self.edge.router, body.model, "transcription", limits)
        incoming.note_model(served.name)
        request = transcription_request(body, fields, self.task, name, served.model, limits)
        events = self.edge.router.run(request, partial(self._for_another, body, fields))
        if body.stream:
            return Stream(events, _frames(body, request))
        outcome = await Outcome.of(events)
        headers, data = transcript(outcome, request, body.response_format, shown(body))
        return Reply(data, headers=headers)

    async def _for_another(self, body: TranslationBody, fields: Set[str], served: Served) -> TranscriptionRequest:
        """The same request for another model. Raises InvalidRequest or Unsupported where it cannot take that."""
        check_kind(served, "transcription")
        return transcription_request(body, fields, self.task, served.name, served.model, self.edge.config.limits)


def _frames(body: TranslationBody, request: TranscriptionRequest) -> Frames:
    chunk = body.chunk if isinstance(body, TranscriptionBody) else None
    return TranscriptFrames(with_logprobs=request.logprobs) if chunk is None else PieceFrames(chunk)
