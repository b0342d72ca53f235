"""What must hold in the section `[infernet]` beyond the type of each setting."""

from __future__ import annotations

import importlib.util
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from backends.wording import shown
from openai_proxy.config import Config
from openai_proxy.configure.lines import Path
from openai_proxy.configure.shape import Report

LONGEST = 128


def check_infernet(config: Config, report: Report) -> None:
    settings = config.infernet
    _check_networks(settings.networks, ("infernet", "networks"), report)
    _check_networks(settings.status_networks, ("infernet", "status_networks"), report)
    for name, container in config.infernet.containers.items():
        path = ("infernet", "containers", name)
        if not name or len(name) > LONGEST or not name.isprintable() or "," in name or name != name.strip():
            report(path, f"{shown(name)} cannot name a container: use 1 to {LONGEST} printable characters, no commas")
        _check_networks(container.allowed_ips, (*path, "allowed_ips"), report)
    if settings.containers and not any(each.external for each in settings.containers.values()):
        report(("infernet", "containers"), "no container is external: nobody could begin a job")
    if settings.chain_id is not None:
        _check_chain(config, report)


def _check_chain(config: Config, report: Report) -> None:
    settings = config.infernet
    if settings.coordinator is None:
        report(("infernet", "chain_id"), "infernet.chain_id needs infernet.coordinator too")
    if not settings.signers and settings.rpc_url is None:
        report(("infernet", "chain_id"), "infernet.chain_id needs infernet.signers or infernet.rpc_url: who may sign?")
    if settings.rpc_url is not None and urlsplit(settings.rpc_url).scheme not in ("http", "https"):
        report(("infernet", "rpc_url"), f"{shown(settings.rpc_url)} is not an address such as https://node.example")
    if importlib.util.find_spec("eth_account") is None:
        report(
            ("infernet", "chain_id"), "subscriptions need the extra 'infernet': pip install 'openai-proxy[infernet]'"
        )


def _check_networks(networks: Iterable[str], path: Path, report: Report) -> None:
    for network in networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            report(path, f'{shown(network)} is not an address or a network such as "10.0.0.0/8"')
