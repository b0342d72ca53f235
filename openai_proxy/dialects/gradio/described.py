"""What clients are told of the server before they call it: `/config` and `/info`, out of one table of API names.

Source: what gradio_client 2.7.2, 1.0.2 and 0.6.1 read of both. Every argument and every answer is a text box, which
each of them passes on as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct, structs

from openai_proxy.openapi import Operation
from openai_proxy.wire import Envelope

PREFIX = "/gradio_api"
TEXT = {"type": "string"}


class Parameter(Struct, frozen=True):
    """An argument. One without a `default` has to be given."""

    name: str
    default: Any = msgspec.UNSET


class Signature(Struct, frozen=True):
    """What is passed to an API name, and what it answers."""

    parameters: tuple[Parameter, ...]
    returns: tuple[str, ...]


class Called(Struct):
    """A call: its arguments in `data`; `fn_index` is the number of an API name where the path has none."""

    data: list[Any] | None = None
    fn_index: int | None = None
    session_hash: str | None = None
    event_id: str | None = None


class Output(Struct):
    """What a call amounts to: one text, or several."""

    data: list[str | None]
    is_generating: bool
    duration: float
    average_duration: float


class Handed(Struct):
    """The id of an event."""

    event_id: str


class Stopped(Struct):
    """Whether there was something to cancel."""

    success: bool


class Interface(Struct):
    """What there is to call: the boxes of texts, and which of them each API name takes and gives."""

    version: str
    api_prefix: str
    protocol: str
    components: list[dict[str, Any]]
    dependencies: list[dict[str, Any]]


class Endpoints(Struct):
    """The same by API names."""

    named_endpoints: dict[str, dict[str, Any]]
    unnamed_endpoints: dict[str, dict[str, Any]]


class Problem(Struct):
    """An error; `error` is the same."""

    detail: str
    error: str


KEY = Parameter("h2ogpt_key", "")
DICT = (Parameter("inputs_dict_str"),)
SPOKEN = (
    Parameter("chatbot_role", "None"),
    Parameter("speaker", "None"),
    Parameter("tts_language", "autodetect"),
    Parameter("tts_speed", 1.0),
    Parameter("text"),
    Parameter("stream_output", False),
    KEY,
)
# How a document is to be read is for us to say; what a client says of that is taken without effect.
HANDED_IN = (
    Parameter("langchain_mode", "MyData"),
    Parameter("chunk", True),
    Parameter("chunk_size", 512),
    Parameter("embed", True),
    Parameter("image_audio_loaders", None),
    Parameter("pdf_loaders", None),
    Parameter("url_loaders", None),
    Parameter("jq_schema", None),
    Parameter("extract_frames", None),
    Parameter("llava_prompt", None),
    KEY,
)
ADDED = ("nothing", "langchain_mode", "sources", "exceptions", "names")
# Their places in this table are what clients know them by (`fn_index`).
SIGNATURES: Mapping[str, Signature] = {
    "submit_nochat_api": Signature(DICT, ("dict",)),
    "submit_nochat_plain_api": Signature(DICT, ("dict",)),
    "model_names": Signature((), ("models",)),
    "system_hash": Signature((), ("hash",)),
    "num_model_lock": Signature((), ("models",)),
    "speak_text_api": Signature(SPOKEN, ("dict",)),
    "speak_text_plain_api": Signature(DICT, ("dict",)),
    "transcribe_audio_api": Signature((Parameter("audio"), Parameter("stream_output", False), KEY), ("text",)),
    "embed_api": Signature((Parameter("text"), KEY, Parameter("is_list", "False")), ("vectors",)),
    "count_tokens": Signature((Parameter("text"), Parameter("model", ""), KEY), ("tokens",)),
    "add_url": Signature((Parameter("url"), *HANDED_IN), ADDED),
    "add_text": Signature((Parameter("text"), *HANDED_IN), ADDED),
}
NAMES = tuple(SIGNATURES)
STREAM = "text/event-stream"
TWICE = ("", PREFIX)
OPERATIONS = tuple(
    structs.replace(each, faults=(Problem, Envelope))
    for each in (
        Operation("GET", "/config", "What there is to call, for Gradio's clients", reply=Interface),
        Operation("GET", f"{PREFIX}/info", "The same for people", reply=Endpoints),
        *(
            Operation("POST", f"{at}/api/{{api_name}}", "Call an API name of h2oGPT's", body=Called, reply=Output)
            for at in TWICE
        ),
        Operation("POST", "/run/{api_name}", "The same", body=Called, reply=Output),
        Operation("POST", "/api/predict/", "The same, by `fn_index`", body=Called, reply=Output),
        Operation("POST", f"{PREFIX}/call/{{api_name}}", "Begin an event", body=Called, reply=Handed),
        Operation("GET", f"{PREFIX}/call/{{api_name}}/{{event_id}}", "Its outputs", media=STREAM),
        *(
            operation
            for at in TWICE
            for operation in (
                Operation("POST", f"{at}/queue/join", "Begin an event of a session", body=Called, reply=Handed),
                Operation("GET", f"{at}/queue/data", "The messages of a session, by `session_hash`", media=STREAM),
                Operation("POST", f"{at}/cancel", "Stop an event, or all of a session", body=Called, reply=Stopped),
                Operation("POST", f"{at}/reset", "The same", body=Called, reply=Stopped),
                Operation("GET", f"{at}/heartbeat/{{session_hash}}", "Nothing but heartbeats", media=STREAM),
            )
        ),
    )
)


def numbered(index: object) -> str | None:
    """The API name of that `fn_index`; None if there is none."""
    return NAMES[index] if type(index) is int and 0 <= index < len(NAMES) else None


@cache
def config() -> bytes:
    """`/config`, as JSON. With that version clients know how to cancel; with that protocol each output is whole."""
    components: list[dict[str, Any]] = []
    dependencies: list[dict[str, Any]] = []
    for number, (name, signature) in enumerate(SIGNATURES.items()):
        first = len(components)
        labels = [*(each.name for each in signature.parameters), *signature.returns]
        components += [_component(first + place, label) for place, label in enumerate(labels)]
        ids = [*range(first, len(components))]
        given = len(signature.parameters)
        dependencies.append(_dependency(number, name, ids[:given], ids[given:]))
    told = {
        "version": "5.0.0",
        "api_prefix": PREFIX,
        "protocol": "sse_v1",
        "mode": "blocks",
        "title": "openai-proxy",
        "root": "",
        "space_id": None,
        "is_space": False,
        "enable_queue": True,
        "connect_heartbeat": False,
        "show_error": True,
        "show_api": True,
        "dev_mode": False,
        "components": components,
        "dependencies": dependencies,
    }
    return msgspec.json.encode(told)


def _component(id: int, label: str) -> dict[str, Any]:
    return {
        "id": id,
        "type": "textbox",
        "props": {"label": label, "name": "textbox", "visible": False},
        "serializer": "StringSerializable",
        "api_info": TEXT,
        "skip_api": False,
    }


def _dependency(id: int, name: str, inputs: list[int], outputs: list[int]) -> dict[str, Any]:
    return {
        "id": id,
        "api_name": name,
        "inputs": inputs,
        "outputs": outputs,
        "backend_fn": True,
        "queue": True,
        "targets": [],
        "js": None,
        "batch": False,
        "cancels": [],
        "types": {"continuous": False, "generator": name in ("submit_nochat_api", "speak_text_api"), "cancel": False},
        "api_visibility": "public",
        "show_api": True,
    }


@cache
def info() -> bytes:
    """`/info`, as JSON: the same for people who call `view_api`."""
    named = {f"/{name}": _endpoint(signature) for name, signature in SIGNATURES.items()}
    return msgspec.json.encode({"named_endpoints": named, "unnamed_endpoints": {}})


def _endpoint(signature: Signature) -> dict[str, Any]:
    return {
        "parameters": [_parameter(each) for each in signature.parameters],
        "returns": [_returned(each) for each in signature.returns],
        "show_api": True,
        "api_visibility": "public",
    }


def _returned(label: str) -> dict[str, Any]:
    return {"label": label, "type": TEXT, "python_type": _type("str"), "component": "Textbox"}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    given = parameter.default is not msgspec.UNSET
    return {
        "label": parameter.name,
        "parameter_name": parameter.name,
        "parameter_has_default": given,
        "parameter_default": parameter.default if given else None,
        "type": TEXT,
        "python_type": _type("str"),
        "component": "Textbox",
        "example_input": "Hello!!",
    }


def _type(name: str) -> dict[str, str]:
    return {"type": name, "description": ""}
