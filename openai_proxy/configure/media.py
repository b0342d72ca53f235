"""What must hold in the section `[media]`, and wherever else addresses of clients are asked, beyond the type of each
setting.
"""

from __future__ import annotations

import ipaddress
import os
import ssl

from backends.wording import shown
from openai_proxy.config import Media, WebhookSettings
from openai_proxy.configure.shape import Report
from openai_proxy.fetching.address import Address, read


def check_media(media: Media, report: Report) -> None:
    check_reach("media", media, "fetched", report)
    if media.local_dir is not None and not _is_folder(media.local_dir):
        report(("media", "local_dir"), f"media.local_dir: {shown(media.local_dir)} is not a folder")


def check_reach(section: str, settings: Media | WebhookSettings, done: str, report: Report) -> None:
    """What says whom to ask, and whom to believe; `done` is what is done there."""
    for field in ("schemes", "ports"):
        if not getattr(settings, field):
            report((section, field), f"{section}.{field} is empty: nothing could be {done}")
    for domain in settings.domains:
        if problem := wrong_domain(domain):
            report((section, "domains"), f"{shown(domain)} {problem}")
    for network in settings.networks:
        try:
            ipaddress.ip_network(network)
        except ValueError:
            report((section, "networks"), f'{shown(network)} is not a network such as "10.0.0.0/8"')
    if settings.ca_file is not None:
        try:
            ssl.create_default_context(cafile=os.path.expanduser(settings.ca_file))
        except (OSError, ValueError) as error:
            reason = "holds no certificates" if isinstance(error, ssl.SSLError) else "cannot be read"
            report((section, "ca_file"), f"{section}.ca_file: {shown(settings.ca_file)} {reason}")


def wrong_domain(domain: str) -> str | None:
    """Why no host could ever match this entry, if none could."""
    host = domain.removeprefix("*.")
    try:
        found = read(f"https://[{host}]/" if ":" in host else f"https://{host}/")
    except ValueError:
        return 'is not the name of a host such as "example.org" or "*.example.org"'
    assert isinstance(found, Address)
    if found.host != host:
        return f"has to be written {shown(domain.removesuffix(host) + found.host)}"
    return None


def _is_folder(path: str) -> bool:
    try:
        return os.path.isdir(os.path.expanduser(path))
    except ValueError:
        return False
