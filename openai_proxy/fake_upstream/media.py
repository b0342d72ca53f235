"""Sounds: `POST /v1/audio/...`."""

from __future__ import annotations

import base64
import re
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from openai_proxy.fake_upstream.answers import Stream, Whole, encode, event
from openai_proxy.fake_upstream.requests import Order, Refusal
from openai_proxy.fake_upstream.script import HUGE
from openai_proxy.fake_upstream.sounds import SOUNDS
from openai_proxy.fake_upstream.texts import whole_text

TEXT = b"text/plain; charset=utf-8"
# How long every sound is said to be, in seconds.
HEARD = 1.0
BOUNDARY = re.compile(r'boundary="?([^";]+)')
NAME = re.compile(rb'\bname="([^"]*)"')
CLOCK = "00:00:00{0}000 --> 00:00:01{0}000\n"


class SpeechBody(Struct):
    input: Annotated[str, Meta(min_length=1)]
    model: str | None = None
    voice: Any = None
    response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = "mp3"
    speed: Annotated[float, Meta(ge=0.25, le=4)] = 1.0
    stream_format: Literal["audio", "sse"] = "audio"


def speech(order: Order) -> Stream:
    """A tenth of a second of sound for each chunk."""
    body = order.decoded(SpeechBody)
    order.model(body.model)
    sounds, count = SOUNDS[body.response_format], order.script.pieces

    def piece(number: int) -> bytes:
        return sounds.piece(0) * (HUGE // len(sounds.piece(0))) if number == HUGE else sounds.piece(number)

    def delta(data: bytes) -> bytes:
        return event(encode({"type": "speech.audio.delta", "audio": base64.b64encode(data).decode()})) if data else b""

    told = order.script.sound
    if body.stream_format == "audio" or told is not None:
        kind = sounds.kind if told is None else told.encode()
        return Stream(count, piece, sounds.opening, sounds.finish(count), done=b"", kind=kind)
    words = len(body.input.split())
    usage = {"input_tokens": words, "output_tokens": count, "total_tokens": words + count}
    done = event(encode({"type": "speech.audio.done", "usage": usage}))
    finish = delta(sounds.finish(count))
    return Stream(count, lambda number: delta(piece(number)), delta(sounds.opening), finish, done=done)


def transcription(order: Order) -> Whole | Stream:
    return _heard(order, "transcribe")


def translation(order: Order) -> Whole | Stream:
    return _heard(order, "translate")


def _heard(order: Order, task: str) -> Whole | Stream:
    fields = form(order)
    order.model(fields.get("model", b"").decode(errors="replace"))
    if "file" not in fields:
        raise Refusal(400, "file is required", param="file")
    text = whole_text(order.script)
    if fields.get("stream") == b"true":
        return _stream(order, text)
    language = fields.get("language", b"en").decode(errors="replace")
    shape = fields.get("response_format", b"json")
    match shape:
        case b"text":
            return Whole(f"{text}\n".encode(), kind=TEXT)
        case b"srt":
            return Whole(f"1\n{CLOCK.format(',')}{text}\n\n".encode(), kind=TEXT)
        case b"vtt":
            return Whole(f"WEBVTT\n\n{CLOCK.format('.')}{text}\n\n".encode(), kind=b"text/vtt; charset=utf-8")
        case b"verbose_json":
            return Whole(encode(_verbose(text, task, language)))
        case b"json":
            return Whole(encode({"text": text, "usage": {"type": "duration", "seconds": HEARD}}))
    raise Refusal(400, f"response_format cannot be {shape[:50].decode(errors='replace')!r}", param="response_format")


def _verbose(text: str, task: str, language: str) -> dict[str, object]:
    segment = {"id": 0, "seek": 0, "start": 0.0, "end": HEARD, "text": text, "tokens": [], "temperature": 0.0}
    measured = {"avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0}
    usage = {"type": "duration", "seconds": HEARD}
    told = {"task": task, "language": language, "duration": HEARD, "text": text}
    return {**told, "segments": [{**segment, **measured}], "usage": usage}


def _stream(order: Order, text: str) -> Stream:
    def chunk(number: int) -> bytes:
        return event(encode({"type": "transcript.text.delta", "delta": order.script.piece(number)}))

    count = order.script.pieces
    usage = {"type": "tokens", "input_tokens": 1, "output_tokens": count, "total_tokens": count + 1}
    last = event(encode({"type": "transcript.text.done", "text": text, "usage": usage}))
    return Stream(count, chunk, finish=last)


def form(order: Order) -> dict[str, bytes]:
    """The fields of a form with a file, by name. Raises Refusal."""
    found = BOUNDARY.search(order.request.header(b"content-type") or "")
    if found is None:
        raise Refusal(400, "the body must be multipart/form-data")
    fields: dict[str, bytes] = {}
    for part in (b"\r\n" + order.request.body).split(b"\r\n--" + found[1].encode("latin-1"))[1:-1]:
        head, _, value = part.partition(b"\r\n\r\n")
        if name := NAME.search(head):
            fields[name[1].decode(errors="replace")] = value
    return fields
