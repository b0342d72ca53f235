"""The `options` table of a remote model, and the settings of each of its upstreams."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

from msgspec import Meta, Struct

from backends import Kind
from backends.options import read_options
from backends.remote.address import Address, read_address

Text: TypeAlias = Annotated[str, Meta(min_length=1)]
Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=100)]
Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0, le=3600)]
SecondsOrNone: TypeAlias = Annotated[float, Meta(ge=0, le=3600)]
Patterns: TypeAlias = Annotated[tuple[Text, ...], Meta(min_length=1)]
Kinds: TypeAlias = Annotated[tuple[Kind, ...], Meta(min_length=1)]
StrategyName: TypeAlias = Literal["least", "weighted", "prefix", "session"]
Settings = TypeVar("Settings", bound=Struct)

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OURS = {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}


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
        """Raises ValueError, but not once `check` has passed."""
        return read_address(self.url)

    @property
    def called(self) -> str:
        return self.name or self.address.authority

    def check(self, place: str) -> None:
        """Raises ValueError with one clear sentence for what the types alone allow."""
        self._check_url(place, "url", self.url)
        self._check_headers(place)
        if self.name is not None and not self.name.isprintable():
            raise ValueError(f"{place}: name must be printable")
        if self.key_env is not None and not VARIABLE.fullmatch(self.key_env):
            raise ValueError(f"{place}: key_env must be the name of an environment variable, not the key itself")
        if self.key_env is not None and self.key_file is not None:
            raise ValueError(f"{place}: give one of key_env and key_file")
        if self.cert_key_file is not None and self.cert_file is None:
            raise ValueError(f"{place}: cert_key_file needs cert_file")
        if self.ca_file is not None and not self.verify:
            raise ValueError(f"{place}: ca_file has no use when verify is false")
        secured = self.ca_file or self.cert_file or not self.verify
        if secured and self.address.scheme == "http":
            raise ValueError(f"{place}: ca_file, cert_file and verify need a url that begins with https://")
        if self.proxy is not None:
            self._check_url(place, "proxy", self.proxy)

    def _check_url(self, place: str, field: str, url: str) -> None:
        try:
            read_address(url)
        except ValueError as error:
            raise ValueError(f"{place}: {field} {error}") from error

    def _check_headers(self, place: str) -> None:
        for name, value in self.headers.items():
            if not TOKEN.fullmatch(name):
                raise ValueError(f"{place}: headers has the name {name!r}, which HTTP does not allow")
            if name.lower() == "authorization":
                raise ValueError(f"{place}: headers must not hold {name!r}; name a key with key_env or key_file")
            if name.lower() in OURS:
                raise ValueError(f"{place}: headers must not hold {name!r}, which the connection needs for itself")
            if not value.isprintable() or not value.isascii():
                raise ValueError(f"{place}: headers.{name} holds a character that HTTP does not allow")


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

    @classmethod
    def read(cls, name: str, table: Mapping[str, Any]) -> Options:
        """The options of model `name`. Raises ValueError with one clear sentence."""
        place = f"model {name}"
        given = table.get("upstreams")
        if not isinstance(given, list | tuple) or not given:
            raise ValueError(f"{place}: remote needs 'upstreams': a list of tables, each with a url")
        upstreams = [_upstream(f"{place}: upstream {number}", each) for number, each in enumerate(given, start=1)]
        options = read_options(cls, place, "remote", {**table, "upstreams": upstreams})
        options.check(place)
        return options

    def check(self, place: str) -> None:
        """Raises ValueError with one clear sentence for what the types alone allow."""
        names = [upstream.called for upstream in self.upstreams]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{place}: two upstreams are called {name!r}; give each a name of its own")
        if not re.fullmatch(r"/[!-~]*", self.probe_path):
            raise ValueError(f"{place}: probe_path must be a path that begins with a slash, such as /health")
        self._check_models(place)
        if self.client == "aiohttp" and importlib.util.find_spec("aiohttp") is None:
            install = "pip install 'openai-proxy[remote]'"
            raise ValueError(
                f'{place}: client = "aiohttp" needs the package aiohttp, which is not installed: {install}'
            )
        for upstream in self.upstreams:
            if upstream.proxy is not None and self.client == "own":
                raise ValueError(f'{place}: upstream {upstream.called}: proxy needs the option client = "aiohttp"')

    @property
    def patterns(self) -> tuple[str, ...]:
        """Which models of the upstreams are served under names of their own; none where it is just this one."""
        if self.models is None:
            return ()
        return (self.models,) if isinstance(self.models, str) else self.models

    def _check_models(self, place: str) -> None:
        if not self.prefix.isprintable() or self.prefix != self.prefix.lstrip():
            raise ValueError(f"{place}: prefix must be printable and not begin with a space")
        if self.models is None:
            if self.prefix:
                raise ValueError(f'{place}: prefix is for the names that models = "*" finds')
            return
        if not self.probe_every:
            raise ValueError(f"{place}: models are found by probes: probe_every must not be 0")
        for upstream in self.upstreams:
            if upstream.model is not None:
                raise ValueError(f"{place}: upstream {upstream.called}: model has no use beside the option models")


def _upstream(place: str, table: Any) -> UpstreamOptions:
    if not isinstance(table, Mapping):
        raise ValueError(f"{place} must be a table with a url")
    name = table.get("name")
    named = f"{place} ({name})" if isinstance(name, str) and name else place
    upstream = read_options(UpstreamOptions, named, "remote", table)
    upstream.check(f"{place} ({upstream.name})" if upstream.name else place)
    return upstream
