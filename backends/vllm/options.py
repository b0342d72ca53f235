"""The `options` table of a vLLM model, and its settings `model` and `engine`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from backends import Setup
from backends.options import read_options
from backends.vllm import arguments

NONE = "none"


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for a model of the backend `vllm` beside the engine's own fields."""

    chat_template: Annotated[str | None, Meta(description="Jinja text, or a file of it, instead of the model's")] = None
    tool_parser: Annotated[
        str | None, Meta(description="name of vLLM's tool parser, or \"none\"; by the model's family if absent")
    ] = None
    reasoning_parser: Annotated[
        str | None, Meta(description='name of vLLM\'s reasoning parser, or "none"; by the family if absent')
    ] = None

    beat: Annotated[
        float, Meta(ge=0, le=0.02, description="seconds whose tokens are one event of a stream under load; 0: never")
    ] = 0.02

    @classmethod
    def read(cls, setup: Setup) -> Options:
        """The options of a model, after a look at all its settings. Raises ValueError with one clear sentence."""
        if not setup.model:
            raise ValueError(f"model {setup.name}: vllm needs the setting 'model': \"organisation/name\", or a folder")
        arguments.check(setup.name, setup.engine)
        return read_options(cls, f"model {setup.name}", "vllm", setup.options)

    def template(self) -> str | None:
        """The chat template's text, None for the model's own. Raises OSError."""
        given = self.chat_template
        if given is None or "{" in given or "\n" in given:
            return given
        return Path(given).expanduser().read_text(encoding="utf-8")
