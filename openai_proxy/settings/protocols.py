"""Protocols beside OpenAI's: where each is served, and its own section."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import Meta, Struct

from openai_proxy.settings.kinds import Address, Count, Place, Seconds


class Protocols(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Protocols beside OpenAI's: false, true, or a path such as "/replicate" below which they are served."""

    predictions: Annotated[Place, Meta(description="the predictions API of Replicate's clients")] = True
    aime: Annotated[Place, Meta(description="the API of AIME's clients")] = True
    infernet: Annotated[Place, Meta(description="the node API of Infernet's clients")] = True
    gradio: Annotated[Place, Meta(description="the Gradio API of h2oGPT's clients")] = True


class Predictions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The predictions API of Replicate's clients."""

    files: Annotated[
        Literal["data", "address"],
        Meta(description="sounds and pictures in outputs: as data URIs, or as addresses of this server"),
    ] = "data"


class AimeEndpoint(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One endpoint of AIME's API: a name for one model and one kind of request."""

    model: Annotated[str, Meta(description="the model, by its id or another name")]
    kind: Annotated[
        Literal["chat", "completion", "image", "speech", "transcription", "embedding"] | None,
        Meta(description="what it does; absent: the first of these that the model does"),
    ] = None
    title: Annotated[str, Meta(description="for people; absent: its name")] = ""
    description: Annotated[str, Meta(description="for people; absent: the model's")] = ""
    category: Annotated[str, Meta(description="for people; absent: its kind")] = ""
    version: Annotated[int, Meta(ge=0, le=10**9, description="ep_version in answers")] = 1
    keys: Annotated[tuple[str, ...], Meta(description="names of the keys that may use it; empty: all")] = ()


class Aime(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The API of AIME's clients."""

    endpoints: Annotated[
        Mapping[str, AimeEndpoint], Meta(description="endpoints by name; models without one get one of their own")
    ] = {}
    logins: Annotated[Count, Meta(description="logins that are known at once")] = 10_000
    login_idle: Annotated[Seconds, Meta(description="a login that was not used for so long ends")] = 86_400.0


class Container(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One container of an Infernet node: a named door to a model."""

    image: Annotated[str, Meta(description="what clients are told of its image")] = ""
    description: Annotated[str, Meta(description="what clients are told it does")] = ""
    external: Annotated[bool, Meta(description="may be the first of a job's containers")] = True
    allowed_ips: Annotated[tuple[str, ...], Meta(description="addresses or networks that may use it; empty: all")] = ()
    kinds: Annotated[
        tuple[Literal["chat", "completion", "embedding", "image", "speech", "transcription"], ...],
        Meta(description="what it does; empty: all. The first is done where another container comes before it"),
    ] = ()
    model: Annotated[str | None, Meta(description="for requests that name none; absent: the first that can")] = None


class Infernet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Infernet node that this server is to its clients."""

    networks: Annotated[
        tuple[str, ...], Meta(description="addresses or networks that may call where there are keys: clients send none")
    ] = ("127.0.0.0/8", "::1")
    status_networks: Annotated[
        tuple[str, ...], Meta(description="that may record a status by hand, beside this machine")
    ] = ()
    containers: Annotated[Mapping[str, Container], Meta(description="the containers; none: one for all models")] = {}
    chain_id: Annotated[
        Count | None, Meta(description="of the chain whose subscriptions are taken; absent: none are")
    ] = None
    coordinator: Annotated[Address | None, Meta(description="the contract that subscriptions are signed for")] = None
    signers: Annotated[
        Mapping[Address, Address], Meta(description="who signs for the owner of subscriptions: owner = signer")
    ] = {}
    rpc_url: Annotated[
        str | None,
        Meta(description="node of the chain, which tells the signers of other owners; absent: none is asked"),
    ] = None
    deliveries: Annotated[
        str | None, Meta(description="file that gets what subscriptions made; deliveries.jsonl in jobs.home if absent")
    ] = None


class GradioSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The Gradio API of h2oGPT's clients."""

    sessions: Annotated[Count, Meta(description="clients with events at once, in each process")] = 1000
    key_sessions: Annotated[Count, Meta(description="of these, with one key or account, or all who need none")] = 250
    events: Annotated[Count, Meta(description="events of one client at once")] = 64
    output_bytes: Annotated[
        Count, Meta(description="of outputs that wait to be read, in each process; a key may have the fourth part")
    ] = 256_000_000
    logins: Annotated[Count, Meta(description="logins that are known at once")] = 10_000
    login_idle: Annotated[Seconds, Meta(description="a login that was not used for so long ends")] = 86_400.0
