"""A remote model's settings -> its Options, or all that is wrong with them, each with its upstream and its field."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from backends.options import Path, Wrong, WrongSettings, sift
from backends.remote.address import check_base, read_address
from backends.remote.options import Options, UpstreamOptions

TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
OURS = {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"}
SECRETIVE = {"url", "proxy", "headers", "key_env", "key_file"}
# In place of upstreams that are all wrong, so that the rest can be looked at too.
NOWHERE = UpstreamOptions(url="http://localhost")


def read_settings(name: str, options: Mapping[str, Any], upstreams: Sequence[Any]) -> Options:
    """What model `name` is to be, by its tables `options` and `upstreams`. Raises WrongSettings."""
    place = f"model {name}"
    if not upstreams:
        raise WrongSettings([Wrong((), f"{place}: remote needs 'upstreams': a list of tables, each with a url")])
    right: dict[int, UpstreamOptions] = {}
    wrong: list[Wrong] = []
    for number, table in enumerate(upstreams):
        upstream, faults = _upstream(f"{place}: upstream {number + 1}", number, table)
        wrong += faults
        if upstream is not None and not faults:
            right[number] = upstream
    read, faults = sift(Options, place, "remote", {**options, "upstreams": [*right.values()] or [NOWHERE]})
    if read is not None and not faults:
        faults += [Wrong((field,), f"{place}: {problem}") for field, problem in _of_model(read)]
        wrong += [Wrong(("upstreams", *path), f"{place}: {problem}") for path, problem in _together(right, read)]
    wrong += [Wrong(("options", *each.path), each.problem) for each in faults]
    if read is None or wrong:
        raise WrongSettings(wrong)
    return read


def _upstream(place: str, number: int, table: Any) -> tuple[UpstreamOptions | None, list[Wrong]]:
    """One upstream, and what is wrong with it."""
    if not isinstance(table, Mapping):
        return None, [Wrong(("upstreams", number), f"{place} must be a table with a url")]
    name = table.get("name")
    if isinstance(name, str) and name.isprintable() and name:
        place = f"{place} ({name:.100})"
    upstream, wrong = sift(UpstreamOptions, place, "remote", table, SECRETIVE)
    if upstream is not None:
        told = {each.path[0] for each in wrong if each.path}
        found = [*_of_url(upstream), *_of_headers(upstream), *_of_upstream(upstream)]
        wrong += [Wrong((field,), f"{place}: {problem}") for field, problem in found if field not in told]
    return upstream, [Wrong(("upstreams", number, *each.path), each.problem) for each in wrong]


def _of_url(upstream: UpstreamOptions) -> Iterator[tuple[str, str]]:
    """Fields that hold no usable address, each with the reason."""
    try:
        check_base(upstream.url)
        secured = read_address(upstream.url).scheme == "https"
    except ValueError as error:
        yield "url", f"url {error}"
    else:
        for field, given in _tls(upstream).items():
            if given and not secured:
                yield field, f"{field} needs a url that begins with https://"
    if upstream.proxy is not None:
        try:
            read_address(upstream.proxy)
        except ValueError as error:
            yield "proxy", f"proxy {error}"


def _tls(upstream: UpstreamOptions) -> Mapping[str, bool]:
    """The settings of TLS, and whether they are made."""
    return {
        "ca_file": upstream.ca_file is not None,
        "cert_file": upstream.cert_file is not None,
        "verify": not upstream.verify,
    }


def _of_headers(upstream: UpstreamOptions) -> Iterator[tuple[str, str]]:
    """Headers that cannot be sent. Their values may be secret."""
    for name, value in upstream.headers.items():
        if not TOKEN.fullmatch(name):
            yield "headers", f"headers has the name {name!r:.100}, which HTTP does not allow"
        elif name.lower() == "authorization":
            yield "headers", f"headers must not hold {name!r}; name a key with key_env or key_file"
        elif name.lower() in OURS:
            yield "headers", f"headers must not hold {name!r}, which the connection needs for itself"
        elif not value.isprintable() or not value.isascii():
            yield "headers", f"headers.{name} holds a character that HTTP does not allow"


def _of_upstream(upstream: UpstreamOptions) -> Iterator[tuple[str, str]]:
    """What the types alone allow."""
    if upstream.name is not None and not upstream.name.isprintable():
        yield "name", "name must be printable"
    if upstream.key_env is not None and not VARIABLE.fullmatch(upstream.key_env):
        yield "key_env", "key_env must be the name of an environment variable, not the key itself"
    if upstream.key_env is not None and upstream.key_file is not None:
        yield "key_file", "give one of key_env and key_file"
    if upstream.cert_key_file is not None and upstream.cert_file is None:
        yield "cert_key_file", "cert_key_file needs cert_file"
    if upstream.ca_file is not None and not upstream.verify:
        yield "ca_file", "ca_file has no use when verify is false"


def _together(upstreams: Mapping[int, UpstreamOptions], options: Options) -> Iterator[tuple[Path, str]]:
    """Upstreams, by their index, that do not go with one another or with the options."""
    names: dict[str, int] = {}
    for index, upstream in upstreams.items():
        called = upstream.called
        first = names.setdefault(called, index)
        if first != index:
            yield (index,), f"two upstreams are called {called!r}, {first + 1} and {index + 1}; give each its own name"
        if upstream.model is not None and options.models is not None:
            yield (index, "model"), f"upstream {called}: model has no use beside the option models"
        if upstream.proxy is not None and options.client == "own":
            yield (index, "proxy"), f'upstream {called}: proxy needs the option client = "aiohttp"'


def _of_model(options: Options) -> Iterator[tuple[str, str]]:
    """Fields of the table `options` whose types allow more than can be done, each with the reason."""
    if not re.fullmatch(r"/[!-~]*", options.probe_path):
        yield "probe_path", "probe_path must be a path that begins with a slash, such as /health"
    if not options.prefix.isprintable() or options.prefix != options.prefix.lstrip():
        yield "prefix", "prefix must be printable and not begin with a space"
    elif options.prefix and options.models is None:
        yield "prefix", 'prefix is for the names that models = "*" finds'
    if options.models is not None and not options.probe_every:
        yield "probe_every", "models are found by probes: probe_every must not be 0"
    if options.client == "aiohttp" and importlib.util.find_spec("aiohttp") is None:
        install = "pip install 'openai-proxy[remote]'"
        yield "client", f'client = "aiohttp" needs the package aiohttp, which is not installed: {install}'
