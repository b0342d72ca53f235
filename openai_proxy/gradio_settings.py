"""The section `[gradio]` of the configuration, beside the others in `config`."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Count = Annotated[int, Meta(ge=1, le=10**12)]


class GradioSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Gradio API of h2oGPT's clients."""

    sessions: Annotated[Count, Meta(description="clients with events at once, in each process")] = 1000
    events: Annotated[Count, Meta(description="events of one client at once")] = 64
    logins: Annotated[Count, Meta(description="logins that are known at once")] = 10_000
    login_idle: Annotated[
        float, Meta(gt=0, le=604_800, description="a login that was not used for so long, in seconds, ends")
    ] = 86_400.0
