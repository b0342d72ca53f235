"""Requests -> bodies of OpenAI's API, for servers that speak it.

A request that came in that form goes on as it came, but for the model's name; any other is written anew. Source:
https://platform.openai.com/docs/api-reference, and for what other servers take beside it
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
"""

from __future__ import annotations

import base64
from typing import Any, assert_never

import msgspec
from msgspec import Raw, Struct

from backends.remote.drawing import fields_of
from backends.remote.forms import form_of, picture_form, streams
from backends.requests import (
    Audio,
    ChatRequest,
    Choice,
    CompletionRequest,
    Constraint,
    DetokenizeRequest,
    EmbeddingRequest,
    Form,
    Grammar,
    Image,
    ImageRequest,
    JsonObject,
    JsonSchema,
    Message,
    NamedTool,
    Part,
    Regex,
    Request,
    Sampling,
    ScoreRequest,
    SpeechRequest,
    Text,
    TokenizeRequest,
    Tool,
    ToolCall,
    ToolChoice,
    TranscriptionRequest,
)

JSON = b"content-type: application/json\r\n"
WITH_USAGE = Raw(b'{"include_usage":true}')

encode = msgspec.json.Encoder().encode


class Call(Struct, frozen=True):
    """What is sent: `path` below the server's address, the lines of the head, and whether a stream is to come."""

    path: str
    head: bytes
    body: bytes
    stream: bool


def call(request: Request, model: str) -> Call:
    """How a server is asked for that, where its model is called `model`."""
    match request:
        case ChatRequest():
            return _text("v1/chat/completions", request.form, request, model)
        case CompletionRequest():
            return _text("v1/completions", request.form, request, model)
        case EmbeddingRequest():
            form = request.form
            body = encode(_embedding(request, model)) if form is None else _renamed(form, model)
            return Call("v1/embeddings", JSON, body, stream=False)
        case ScoreRequest():
            return _score(request, model)
        case TokenizeRequest():
            return Call("tokenize", JSON, encode(_tokenize(request, model)), stream=False)
        case DetokenizeRequest():
            return Call("detokenize", JSON, encode({"model": model, "tokens": request.tokens}), stream=False)
        case TranscriptionRequest():
            content_type, body = form_of(request, model)
            task = "transcriptions" if request.task == "transcribe" else "translations"
            return Call(f"v1/audio/{task}", b"content-type: " + content_type + b"\r\n", body, stream=streams(request))
        case SpeechRequest():
            form = request.form
            body = encode(_speech(request, model)) if form is None else _renamed(form, model)
            return Call("v1/audio/speech", JSON, body, stream=True)
        case ImageRequest():
            return _picture(request, model)
        case _:
            assert_never(request)


def _picture(request: ImageRequest, model: str) -> Call:
    stream = request.form is not None and request.form.stream
    if request.task == "generate":
        form = request.form
        body = encode({"model": model, **fields_of(request)}) if form is None else _renamed(form, model)
        return Call("v1/images/generations", JSON, body, stream)
    content_type, body = picture_form(request, model)
    path = "v1/images/edits" if request.task == "edit" else "v1/images/variations"
    return Call(path, b"content-type: " + content_type + b"\r\n", body, stream)


def _text(path: str, form: Form | None, request: ChatRequest | CompletionRequest, model: str) -> Call:
    if form is None:
        written = _chat(request, model) if isinstance(request, ChatRequest) else _completion(request, model)
        return Call(path, JSON, encode(written), stream=written["stream"])
    if form.stream and not wants_usage(form):
        return Call(path, JSON, encode(_fields(form, model) | {"stream_options": _with_usage(form)}), stream=True)
    return Call(path, JSON, _renamed(form, model), form.stream)


def _renamed(form: Form, model: str) -> bytes:
    """The body for a server where the model is called so: as it came, if it can be, for it may have megabytes."""
    if form.body is not None and "model" in form.fields and bytes(form.fields["model"]) == encode(model):
        return form.body
    return encode(_fields(form, model))


def _fields(form: Form, model: str) -> dict[str, Raw]:
    return {**form.fields, "model": Raw(encode(model))}


def _with_usage(form: Form) -> Raw:
    given = form.fields.get("stream_options")
    if given is None:
        return WITH_USAGE
    return Raw(encode(msgspec.json.decode(given) | {"include_usage": True}))


def wants_usage(form: Form) -> bool:
    """Whether the client asked for the usage of a stream."""
    given = form.fields.get("stream_options")
    return given is not None and msgspec.json.decode(given).get("include_usage") is True


# Written anew


def _chat(request: ChatRequest, model: str) -> dict[str, Any]:
    sampling = request.sampling
    body: dict[str, Any] = {"model": model, "messages": [_message(each) for each in request.messages]}
    if sampling.logprobs is not None:
        body |= {"logprobs": True, "top_logprobs": sampling.logprobs}
    if request.tools:
        body |= {"tools": [_tool(tool) for tool in request.tools], "tool_choice": _tool_choice(request.tool_choice)}
    if request.parallel_tool_calls is not None:
        body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.reasoning_effort is not None:
        body["reasoning_effort"] = request.reasoning_effort
    return body | _sampling(sampling) | dict(request.extra)


def _completion(request: CompletionRequest, model: str) -> dict[str, Any]:
    prompts = request.prompts
    body: dict[str, Any] = {"model": model, "prompt": prompts[0] if len(prompts) == 1 else prompts}
    if request.echo:
        body["echo"] = True
    if request.sampling.logprobs is not None:
        body["logprobs"] = request.sampling.logprobs
    return body | _sampling(request.sampling) | dict(request.extra)


def _sampling(sampling: Sampling) -> dict[str, Any]:
    named = {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        "stop": list(sampling.stop) or None,
        "seed": sampling.seed,
        "n": sampling.n if sampling.n > 1 else None,
        "presence_penalty": sampling.presence_penalty or None,
        "frequency_penalty": sampling.frequency_penalty or None,
        "logit_bias": {str(token): bias for token, bias in sampling.logit_bias.items()} or None,
        "prompt_logprobs": sampling.prompt_logprobs,
        # Servers give log probabilities of a prompt with a whole answer only.
        "stream": sampling.prompt_logprobs is None,
        "stream_options": WITH_USAGE if sampling.prompt_logprobs is None else None,
    }
    return {name: value for name, value in named.items() if value is not None} | _constraint(sampling.constraint)


def _constraint(constraint: Constraint | None) -> dict[str, Any]:
    match constraint:
        case None:
            return {}
        case JsonObject():
            return {"response_format": {"type": "json_object"}}
        case JsonSchema(schema=schema):
            named = {"name": "answer", "schema": schema, "strict": True}
            return {"response_format": {"type": "json_schema", "json_schema": named}}
        case Regex(pattern=pattern):
            return {"structured_outputs": {"regex": pattern}}
        case Choice(options=options):
            return {"structured_outputs": {"choice": options}}
        case Grammar(text=text):
            return {"structured_outputs": {"grammar": text}}
        case _:
            assert_never(constraint)


def _message(message: Message) -> dict[str, Any]:
    body: dict[str, Any] = {"role": message.role, "content": _content(message)}
    if message.name is not None:
        body["name"] = message.name
    if message.tool_calls:
        body["tool_calls"] = [_tool_call(each) for each in message.tool_calls]
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.reasoning:
        body["reasoning_content"] = message.reasoning
    return body


def _content(message: Message) -> str | list[dict[str, Any]] | None:
    if message.plain:
        return message.text if message.parts or not message.tool_calls else None
    return [_part(part) for part in message.parts]


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text(text=text):
            return {"type": "text", "text": text}
        case Image(data=data, media_type=media_type, url=url):
            url = url or f"data:{media_type};base64,{base64.b64encode(data).decode()}"
            return {"type": "image_url", "image_url": {"url": url}}
        case Audio(data=data, format=format_):
            return {"type": "input_audio", "input_audio": {"data": base64.b64encode(data).decode(), "format": format_}}
        case _:
            assert_never(part)


def _tool_call(call: ToolCall) -> dict[str, Any]:
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}


def _tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": tool.parameters}
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice) -> str | dict[str, Any]:
    if isinstance(choice, NamedTool):
        return {"type": "function", "function": {"name": choice.name}}
    return choice


def _embedding(request: EmbeddingRequest, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "input": request.inputs, "encoding_format": "base64"}
    if request.dimensions is not None:
        body["dimensions"] = request.dimensions
    return body | _cut(request.truncate_prompt_tokens) | dict(request.extra)


def _score(request: ScoreRequest, model: str) -> Call:
    """One query is what rerankers of every maker take; one for each document only vLLM's servers."""
    more = _cut(request.truncate_prompt_tokens) | dict(request.extra)
    if len(request.queries) == 1:
        body = {"model": model, "query": request.queries[0], "documents": request.documents, "return_documents": False}
        return Call("v1/rerank", JSON, encode(body | more), stream=False)
    body = {"model": model, "text_1": request.queries, "text_2": request.documents}
    return Call("v1/score", JSON, encode(body | more), stream=False)


def _cut(tokens: int | None) -> dict[str, Any]:
    return {} if tokens is None else {"truncate_prompt_tokens": tokens}


def _tokenize(request: TokenizeRequest, model: str) -> dict[str, Any]:
    body: dict[str, Any] = {"model": model, "add_special_tokens": request.special}
    if request.strings:
        body["return_token_strs"] = True
    chat = request.prompt
    if isinstance(chat, str):
        return body | {"prompt": chat}
    body["messages"] = [_message(each) for each in chat.messages]
    if chat.tools:
        body["tools"] = [_tool(tool) for tool in chat.tools]
    return body | dict(chat.extra)


def _speech(request: SpeechRequest, model: str) -> dict[str, Any]:
    """In a format whose samples are there to be read, at their own rate."""
    body: dict[str, Any] = {"model": model, "input": request.text, "response_format": "wav"}
    if request.voice is not None:
        body["voice"] = request.voice
    if request.speed != 1:
        body["speed"] = request.speed
    if request.instructions:
        body["instructions"] = request.instructions
    return body | dict(request.extra)
