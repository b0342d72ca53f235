"""What must hold of the endpoints of AIME's API: each is one segment of a path that nothing else has.

Those that are made of models' ids are left out where they cannot be: nobody asked for them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from backends import Backend, discovered
from backends.wording import shown
from openai_proxy.app import create_app
from openai_proxy.config import Config
from openai_proxy.configure.shape import Report
from openai_proxy.dialects import place_of
from openai_proxy.dialects.aime.routes import taken
from openai_proxy.keys import Keys
from openai_proxy.settings.protocols import AimeEndpoint


def check_endpoints(config: Config, built: Mapping[str, Backend | None], report: Report) -> None:
    """Report endpoints that cannot be reached, or have no model to ask. `built` are the models' backends."""
    place = place_of("aime", config)
    if place is None:
        return
    finding = any(backend is not None and discovered(backend) is not None for backend in built.values())
    for name, endpoint in config.aime.endpoints.items():
        if not name or not name.isprintable() or "/" in name or "?" in name or "#" in name:
            report(("aime", "endpoints", name), f"{shown(name)} cannot name an endpoint: it has to be a part of a path")
        check_model(name, endpoint, config, built, finding, report)
    check_free(config, place, report)


def check_model(
    name: str,
    endpoint: AimeEndpoint,
    config: Config,
    built: Mapping[str, Backend | None],
    finding: bool,
    report: Report,
) -> None:
    """The model exists, and does what the endpoint is for. Nobody knows yet what is still to be found."""
    path = ("aime", "endpoints", name, "model")
    model = next((id for id, each in config.models.items() if endpoint.model in (id, *each.names)), None)
    if model is None:
        if not finding:
            near = difflib.get_close_matches(endpoint.model, config.models, n=1)
            hint = f"; did you mean {shown(near[0])}?" if near else ""
            report(path, f"{shown(endpoint.model)} is no model{hint}")
        return
    backend = built.get(model)
    if backend is not None and endpoint.kind is not None and endpoint.kind not in backend.model.kinds:
        report((*path[:-1], "kind"), f"the model {shown(model)} does not take {endpoint.kind} requests")


def check_free(config: Config, place: str, report: Report) -> None:
    """No endpoint hides behind another path of this server, or would hide that."""
    used = taken(create_app(Config(protocols=config.protocols), Keys()).edge, place)
    for name in config.aime.endpoints:
        if name in used:
            report(("aime", "endpoints", name), f"{shown(name)} cannot name an endpoint: other paths begin with it")
