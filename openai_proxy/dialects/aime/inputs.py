"""The parameters that endpoints take, and the values that clients sent for them, checked.

Source: the endpoints that come with AIME's server, https://github.com/aime-team/aime-api-server (endpoints).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from openai_proxy.dialects.aime.endpoints import Does
from openai_proxy.dialects.aime.faults import Refusal

Type: TypeAlias = Literal["string", "text", "integer", "float", "bool", "json", "selection", "image", "audio"]
TRUE, FALSE = frozenset({"true", "True", "1", "yes"}), frozenset({"false", "False", "0", "no"})
SHOWN = 60


class Input(Struct, frozen=True, omit_defaults=True):
    """A parameter, as the details of an endpoint show it. `text` is a string, or a list of them."""

    type: Type
    required: bool = False
    default: str | float | bool | UnsetType = UNSET
    minimum: float | UnsetType = UNSET
    maximum: float | UnsetType = UNSET
    supported: tuple[str, ...] | UnsetType = UNSET


STRING, TEXT = Input("string"), Input("text")
SEED = Input("integer", default=-1, minimum=-1, maximum=2**63 - 1)
SAMPLING = {
    "top_k": Input("integer", default=40, minimum=1, maximum=1000),
    "top_p": Input("float", default=0.9, minimum=0.0, maximum=1.0),
    "temperature": Input("float", default=0.8, minimum=0.0, maximum=2.0),
    "max_gen_tokens": Input("integer", default=1000, minimum=1, maximum=2**31 - 1),
    "seed": SEED,
}
COMMON = {"client_session_auth_key": STRING, "key": STRING, "wait_for_result": Input("bool", default=True)}
SIDE = Input("integer", minimum=16, maximum=16_000)
INPUTS: Mapping[Does, Mapping[str, Input]] = {
    "chat": {
        **dict.fromkeys(("prompt", "prompt_input", "text"), STRING),
        "chat_context": Input("json"),
        **SAMPLING,
    },
    "completion": {"prompt": Input("string", required=True), **SAMPLING},
    "image": {
        "prompt": Input("string", required=True),
        "negative_prompt": Input("string", default=""),
        "width": SIDE,
        "height": SIDE,
        "steps": Input("integer", minimum=1, maximum=1000),
        "guidance": Input("float", minimum=0.0, maximum=100.0),
        "seed": SEED,
        "num_samples": Input("integer", default=1, minimum=1, maximum=10),
        "image": Input("image"),
        "image2image_strength": Input("float", minimum=0.0, maximum=1.0),
        "output_format": Input("selection", default="jpeg", supported=("jpeg", "png")),
        "provide_progress_images": Input("selection", supported=("none", "decoded")),
    },
    "speech": {
        **dict.fromkeys(("text", "prompt"), STRING),
        **dict.fromkeys(("language", "voice"), STRING),
        "output_format": Input("selection", default="wav", supported=("wav", "mp3")),
        **{name: SAMPLING[name] for name in ("temperature", "top_p", "top_k", "seed")},
    },
    "transcription": {"audio": Input("audio", required=True), "language": STRING},
    "embedding": dict.fromkeys(("prompt", "text"), TEXT),
}


def values_of(kind: Does, given: Mapping[str, Any]) -> dict[str, Any]:
    """What was sent for the parameters of such an endpoint. Raises Refusal with all that is wrong."""
    known = INPUTS[kind]
    wrong: list[str] = []
    if unknown := [name[:SHOWN] for name in given if name not in known and name not in COMMON]:
        wrong.append(f"Invalid input parameter(s): {', '.join(unknown)}")
    found: dict[str, Any] = {}
    for name, wanted in known.items():
        if name in given:
            try:
                found[name] = _checked(name, given[name], wanted)
            except ValueError as error:
                wrong.append(str(error))
        elif wanted.required:
            wrong.append(f"Missing required argument: {name}")
    if wrong:
        raise Refusal(400, wrong)
    return found


def flag(given: Mapping[str, Any], name: str, default: bool) -> bool:
    """A parameter that is true or false. Raises Refusal."""
    if name not in given:
        return default
    try:
        return bool(_checked(name, given[name], Input("bool")))
    except ValueError as error:
        raise Refusal(400, [str(error)]) from None


def _checked(name: str, value: Any, wanted: Input) -> Any:
    """The value as its type. Raises ValueError with the sentence for the client."""
    try:
        found = _typed(value, wanted.type)
    except (ValueError, TypeError, OverflowError):
        got = type(value).__name__
        raise ValueError(f"Invalid argument type {name}. Expected: {wanted.type} but got {got}!") from None
    if wanted.supported is not UNSET:
        found = found.lower()
        if found not in wanted.supported:
            listed = ", ".join(wanted.supported)
            raise ValueError(f"Parameter {name} = {found[:SHOWN]} not in supported values: {listed}")
    if wanted.maximum is not UNSET and found > wanted.maximum:
        raise ValueError(f"Parameter {name} = {found} is too high. Maximum supported value is {wanted.maximum:g}!")
    if wanted.minimum is not UNSET and not found >= wanted.minimum:
        raise ValueError(f"Parameter {name} = {found} is too low. Minimum supported value is {wanted.minimum:g}!")
    return found


def _typed(value: Any, kind: Type) -> Any:
    """Raises ValueError, TypeError or OverflowError. A query has numbers as text."""
    match kind:
        case "integer" | "float" if isinstance(value, bool):
            raise TypeError
        case "integer":
            return int(value) if isinstance(value, str) or value == int(value) else _wrong()
        case "float":
            return float(value)
        case "bool":
            return value if isinstance(value, bool) else _yes_or_no(str(value))
        case "json":
            return value
        case "text" if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return value
        case "image" | "audio" if isinstance(value, bytes):
            return value
        case _:
            return value if isinstance(value, str) else _wrong()


def _yes_or_no(text: str) -> bool:
    return text in TRUE or (False if text in FALSE else _wrong())


def _wrong() -> Any:
    raise TypeError
