"""What must hold between settings, beyond the type of each: names do not collide, backends exist, files can be read."""

from __future__ import annotations

import difflib
import ipaddress
import os
import pkgutil
import urllib.parse
from collections.abc import Mapping
from typing import Any

from backends import Backend, Setup, check_together, discovered, lacking, resolve, shareable
from backends.options import WrongSettings
from backends.wording import shown
from openai_proxy.accounts.book import AccountProblem, listed, path_of
from openai_proxy.config import AccountSettings, Auth, Config, ModelConfig, Server
from openai_proxy.configure.documents import check_documents
from openai_proxy.configure.infernet import check_infernet
from openai_proxy.configure.jobs import check_jobs, check_protocols
from openai_proxy.configure.media import check_media
from openai_proxy.configure.shape import Report


def check(config: Config, report: Report, whole: bool) -> None:
    """Report all that does not hold between settings. `whole`: no model is absent because of its own faults."""
    check_server(config.server, report)
    check_key_file(config.auth, report)
    check_accounts(config.accounts, report)
    check_media(config.media, report)
    check_jobs(config, report)
    check_documents(config, report)
    check_protocols(config.protocols, report)
    check_infernet(config, report)
    check_names(config, report)
    if whole:
        check_default_model(config, report)
    built = [check_backend(name, model, report) for name, model in config.models.items()]
    for name, model in config.models.items():
        check_fallback(name, model, config, report)
    for name, backend in zip(config.models, built, strict=True):
        if backend is not None and discovered(backend) is not None:
            check_discovering(name, config, report)
        if backend is not None:
            check_voices(name, config.models[name], backend, report)
            check_fetch(name, config.models[name], backend, report)
    if config.protocols.aime:  # what serves is imported only when it is asked
        check_endpoints = pkgutil.resolve_name("openai_proxy.configure.endpoints:check_endpoints")
        check_endpoints(config, dict(zip(config.models, built, strict=True)), report)
    if all(backend is not None for backend in built):
        check_models_together(config, report)
        check_workers(config, report)


def check_server(server: Server, report: Report) -> None:
    if not is_host(server.host):
        report(("server", "host"), f"{shown(server.host)} is not an address or the name of a machine")
    if server.public_url is not None and not is_origin(server.public_url):
        report(("server", "public_url"), f'{shown(server.public_url)} is not an address like "https://a.example"')
    for address in server.trusted_proxies:
        try:
            ipaddress.ip_network(address)
        except ValueError:
            report(("server", "trusted_proxies"), f"{shown(address)} is not an address or network")
    for origin in server.origins:
        if origin != "*" and not is_origin(origin):
            report(("server", "origins"), f'{shown(origin)} is not a web origin like "https://example.org"')


def is_host(text: str) -> bool:
    """Whether this can be looked up as an address or a name, if not found."""
    try:
        return text.isprintable() and bool(text.strip("[]").encode("idna"))
    except UnicodeError:
        return False


def is_origin(text: str) -> bool:
    """Whether this is scheme, host and at most a port, as browsers send it."""
    try:
        parts = urllib.parse.urlsplit(text)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        return False
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return parts.scheme in {"http", "https"} and bool(host) and text == f"{parts.scheme}://{host}{port}"


def check_key_file(auth: Auth, report: Report) -> None:
    if auth.key_file is None:
        return
    try:
        with open(os.path.expanduser(auth.key_file), "rb"):
            return
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        report(("auth", "key_file"), f'the key file "{auth.key_file}" cannot be read: {reason}')


def check_accounts(accounts: AccountSettings, report: Report) -> None:
    """The file is there and right: else nobody could come in, or everybody."""
    if accounts.file is None:
        return
    path = path_of(accounts.file)
    try:
        listed(path)
    except AccountProblem as error:
        report(("accounts", "file"), str(error))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        report(("accounts", "file"), f'the accounts file "{path}" cannot be read: {reason}')


def check_names(config: Config, report: Report) -> None:
    """Ids and aliases are what clients send: each must mean one model."""
    taken: dict[str, str] = dict.fromkeys(config.models, "a model")
    for name, model in config.models.items():
        check_name(name, ("models", name), config.limits.model_name, report)
        for number, alias in enumerate(model.aliases):
            check_other(alias, "alias", ("models", name, "aliases", number), config, taken, report)
            taken.setdefault(alias, f"an alias of {shown(name)}")
        for adapter in model.adapters:
            check_other(adapter, "adapter", ("models", name, "adapters", adapter), config, taken, report)
            taken.setdefault(adapter, f"an adapter of {shown(name)}")


def check_other(
    name: str, kind: str, path: tuple[str | int, ...], config: Config, taken: Mapping[str, str], report: Report
) -> None:
    check_name(name, path, config.limits.model_name, report)
    if name in taken:
        report(path, f"the {kind} {shown(name)} is taken: it is already {taken[name]}")


def check_name(name: str, path: tuple[str | int, ...], longest: int, report: Report) -> None:
    if not name or len(name) > longest or not name.isprintable() or name != name.strip():
        report(path, f"{shown(name)} cannot name a model: use 1 to {longest} printable characters, no spaces around")


def check_default_model(config: Config, report: Report) -> None:
    """There are models, and the one that serves requests which name none is among them."""
    name = config.default_model
    if not config.models:
        report(("models",), "no model is configured: add a table [models.NAME]")
    if name is None or name in config.models:
        return
    owner = next((model for model, entry in config.models.items() if name in entry.aliases), None)
    near = [owner] if owner else difflib.get_close_matches(name, config.models, n=1)
    hint = f"; did you mean {shown(near[0])}?" if near else known(config.models)
    report(("default_model",), f"default_model is {shown(name)}, which is no model{hint}")


def check_fallback(name: str, model: ModelConfig, config: Config, report: Report) -> None:
    """Every model to fall back to is another one."""
    for number, other in enumerate(model.fallback):
        path = ("models", name, "fallback", number)
        if other == name:
            report(path, f"the model {shown(name)} cannot fall back to itself")
        elif other not in config.models:
            near = difflib.get_close_matches(other, config.models, n=1)
            hint = f"; did you mean {shown(near[0])}?" if near else known(config.models)
            report(path, f"{shown(other)} is no model{hint}")


def known(models: Mapping[str, ModelConfig]) -> str:
    names = [shown(name) for name in models][:8]
    return f"; known are {', '.join(names)}" if names else ""


def check_models_together(config: Config, report: Report) -> None:
    """Let each backend look at all of its models: they may share what there is once only."""
    setups: dict[str, list[Setup]] = {}
    for name, model in config.models.items():
        setups.setdefault(model.backend, []).append(model.setup(name))
    try:
        check_together(setups)
    except ValueError as error:
        report(("models",), str(error))


def check_workers(config: Config, report: Report) -> None:
    """Several processes serve only what has no engine in the process: else each would start one."""
    if config.server.workers == 1:
        return
    for name, model in config.models.items():
        if not shareable(model.backend):
            reason = f'the engine of model {shown(name)}, backend "{model.backend}", lives in the server\'s process'
            report(("server", "workers"), f"{reason}: it can be served by 1 worker, not by {config.server.workers}")
            return


def check_discovering(name: str, config: Config, report: Report) -> None:
    """A table that serves what its upstreams list is no model itself: nothing may need it to be one."""
    why = f"{shown(name)} serves models under names of their own"
    if config.models[name].aliases:
        report(("models", name, "aliases"), f"{why}: it can have no aliases")
    if config.models[name].load == "request":
        report(("models", name, "load"), f"{why}: it has to look for them before anybody can ask for one")
    if config.default_model == name:
        report(("default_model",), f"{why}: it cannot be the default_model")
    for other, model in config.models.items():
        for number, target in enumerate(model.fallback):
            if target == name:
                report(("models", other, "fallback", number), f"{why}: none can fall back to it")


def check_voices(name: str, model: ModelConfig, backend: Backend, report: Report) -> None:
    """Each other name of a voice means one that the model has, where that is known before it is loaded."""
    known = [voice.name for voice in backend.model.voices]
    for other, voice in model.voices.items():
        if known and voice not in known:
            near = difflib.get_close_matches(voice, known, n=1)
            hint = f"did you mean {shown(near[0])}?" if near else f"it has {', '.join(known[:8])}"
            report(("models", name, "voices", other), f"{shown(voice)} is no voice of {shown(name)}; {hint}")


def check_fetch(name: str, model: ModelConfig, backend: Backend, report: Report) -> None:
    """Only what is behind other servers has somebody else to fetch for it."""
    if model.fetch == "upstream" and not backend.model.relays:
        problem = f'the backend "{model.backend}" has no servers behind it that could fetch pictures'
        report(("models", name, "fetch"), problem)
    elif model.fetch == "upstream" and model.vision is not None:
        report(("models", name, "fetch"), 'with vision = "ocr" pictures are read here, and have to be fetched "here"')


def check_backend(name: str, model: ModelConfig, report: Report) -> Backend | None:
    """Resolve the backend and let it look at its options: a constructor is cheap, the work is in `start`."""
    try:
        factory: Any = resolve(model.backend)
    except ValueError as error:
        report(("models", name, "backend"), str(error))
        return None
    if not callable(factory):
        report(("models", name, "backend"), f"{shown(model.backend)} is not a backend")
        return None
    try:
        setup = model.setup(name)
        backend: Backend = factory(setup)
    except WrongSettings as error:
        for wrong in error.wrong:
            report(("models", name, *wrong.path), wrong.problem)
        return None
    except ValueError as error:
        text = str(error)
        report(("models", name), text if name in text else f"model {shown(name)}: {text}")
        return None
    for lack in lacking(model.backend, setup):
        report(("models", name, *lack.path), lack.problem)
    return backend
