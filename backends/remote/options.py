"""The `options` table of a remote model, and the settings of each of its upstreams."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta, Struct

from backends import Kind
from backends.remote.address import Address, read_address

Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]
Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=3600)]
SecondsOrNone: TypeAlias = Annotated[float, Meta(ge=0, le=3600)]
Patterns: TypeAlias = Annotated[tuple[Text, ...], Meta(min_length=1)]
Kinds: TypeAlias = Annotated[tuple[Kind, ...], Meta(min_length=1)]
StrategyName: TypeAlias = Literal["least", "weighted", "prefix", "session"]


class UpstreamOptions(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for one upstream. Keys are never here: only where they are to be read."""

    url: Annotated[str, Meta(description="where the server is, with or without /v1")]
    model: Annotated[Text | None, Meta(description="the model's name there; ours if absent")] = None
    key_env: Annotated[Text | None, Meta(description="environment variable that holds the key")] = None
    key_file: Annotated[Text | None, Meta(description="file that holds the key")] = None
    weight: Annotated[float, Meta(gt=0, le=1000, description="its share of the work, beside the others'")] = 1.0
    name: Annotated[Name | None, Meta(description="for metrics and commands; host:port if absent")] = None
    slots: Annotated[Positive | None, Meta(description="requests it gets at once; any number if absent")] = None
    headers: Annotated[dict[str, str], Meta(description="sent with each request")] = {}
    ca_file: Annotated[Text | None, Meta(description="certificates to trust instead of the system's")] = None
    cert_file: Annotated[Text | None, Meta(description="certificate that shows who we are")] = None
    cert_key_file: Annotated[Text | None, Meta(description="its private key, if not in the same file")] = None
    proxy: Annotated[Text | None, Meta(description="URL of an HTTP proxy on the way; needs client aiohttp")] = None
    verify: Annotated[bool, Meta(description="false: take any certificate")] = True
    drained: Annotated[bool, Meta(description="true: gets no work until somebody undrains it")] = False

    def __repr__(self) -> str:
        """Without headers' values: they may be secret."""
        return f"UpstreamOptions(name={self.called!r}, url={self.url!r}, headers={sorted(self.headers)!r})"

    @property
    def address(self) -> Address:
        """Raises ValueError, but not once it has passed `settings.read`."""
        return read_address(self.url)

    @property
    def called(self) -> str:
        return self.name or self.address.authority


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What can be set for a model of the backend `remote`. Times are in seconds."""

    upstreams: Annotated[tuple[UpstreamOptions, ...], Meta(min_length=1, description="the servers")]
    strategy: Annotated[StrategyName, Meta(description="how an upstream is chosen")] = "least"
    connect_timeout: Annotated[Seconds, Meta(description="for a new connection, its TLS included")] = 5.0
    idle_connections: Annotated[int, Meta(ge=0, description="kept open for each upstream while idle")] = 100
    keep_alive: Annotated[SecondsOrNone, Meta(description="an idle connection is closed after it")] = 4.0
    client: Annotated[Literal["own", "aiohttp"], Meta(description="what speaks HTTP")] = "own"
    probe_path: Annotated[str, Meta(description="what a probe asks for, below the URL's own path")] = "/v1/models"
    probe_every: Annotated[SecondsOrNone, Meta(description="0: never probe")] = 5.0
    probe_timeout: Annotated[Seconds, Meta(description="for one probe")] = 1.5
    retries: Annotated[int, Meta(ge=0, le=10, description="tries after the first, for work that never started")] = 2
    retry_budget: Annotated[float, Meta(ge=0, le=1, description="retries for each request, over all requests")] = 0.2
    hedge_after: Annotated[
        SecondsOrNone, Meta(description="without a first byte for so long, ask a second upstream too; 0: never")
    ] = 0.0
    slow_start: Annotated[SecondsOrNone, Meta(description="until an upstream that came back has its whole share")] = (
        10.0
    )
    circuit_failures: Annotated[Positive, Meta(description="in a row, after which an upstream gets a pause")] = 5
    circuit_pause: Annotated[Seconds, Meta(description="that pause, after which one request may try")] = 10.0
    models: Annotated[
        Text | Patterns | None,
        Meta(description="serve what the upstreams list and one of these fits, under its own name"),
    ] = None
    prefix: Annotated[str, Meta(description="what clients write before those names")] = ""
    kinds: Annotated[Kinds | None, Meta(description="requests it takes; if absent all")] = None
    eject: Annotated[bool, Meta(description="leave out an upstream that does far worse than the others")] = True

    @property
    def patterns(self) -> tuple[str, ...]:
        """Which models of the upstreams are served under names of their own; none where it is just this one."""
        if self.models is None:
            return ()
        return (self.models,) if isinstance(self.models, str) else self.models
