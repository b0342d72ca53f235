"""A model as lists of models show it.

Source: https://platform.openai.com/docs/api-reference/models. Beside OpenAI's fields each entry says what it really
is: `root` is the model behind an alias or an adapter, `state` whether it can answer now,
`modalities` what a chat with it may hold, and `vision` "ocr" that pictures are read for it, since it cannot look. One
that draws says, as far as it knows, which `sizes` it draws, or what `sides` may have, and how many `steps` a picture
takes by its quality. `base_model`, `display_name` and `max_seq_len` are h2oGPT's names for what is loaded, the id and
the context. To another server of our kind, which comes with a `Via`, it says through
whom the model is known, so that two that list one another do not keep a name alive that nobody has any more, and which
options of sampling it `lacks`.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, Struct, UnsetType

from backends import Sides, via
from backends.requests import OPTIONS
from openai_proxy.served import Served


class ModelEntry(Struct):
    """A name that requests may use. `created` is when this server took the model on, in Unix seconds."""

    id: str
    created: int
    root: str
    aliases: list[str]
    kinds: list[str]
    modalities: list[str]
    state: str
    context_length: int | None
    dimensions: int | None
    description: str
    base_model: str
    display_name: str
    max_seq_len: int | None
    vision: str | UnsetType = UNSET
    sizes: list[str] | UnsetType = UNSET
    sides: Sides | UnsetType = UNSET
    steps: Mapping[str, int] | UnsetType = UNSET
    object: str = "model"
    owned_by: str = "openai-proxy"
    via: list[str] | UnsetType = UNSET
    lacks: list[str] | UnsetType = UNSET


def entry(name: str, served: Served) -> ModelEntry:
    """What is known of a model under one of its names."""
    model = served.known(name)
    return ModelEntry(
        id=name,
        created=served.created,
        root=name if served.discovers else served.name,
        aliases=list(served.config.aliases) if name == served.name else [],
        kinds=sorted(model.kinds) if model.certain else [],
        modalities=["text", *sorted(model.modalities)] if model.certain else [],
        state=served.standing.state.name,
        context_length=model.context,
        dimensions=model.dimensions,
        description=model.description,
        base_model=name if served.discovers else served.name,
        display_name=name,
        max_seq_len=model.context,
        vision=served.config.vision or UNSET,
        sizes=[f"{width}x{height}" for width, height in model.sizes] or UNSET,
        sides=model.sides or UNSET,
        steps=model.steps or UNSET,
        via=[via.NAME, *model.via] if via.passed.get() else UNSET,
        lacks=(sorted(OPTIONS - model.parameters) or UNSET) if via.passed.get() and model.certain else UNSET,
    )
