"""What clients call a model: `owner/name`, a version, both with a colon between, or its id here.

An alias may be any of these, so that a reference written for another server means a model of this one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from msgspec import Struct

from openai_proxy.router import Router
from openai_proxy.served import Served

LOCAL = "local"
PARTS = re.compile(r"(?:([^/:]+)/)?([^:]+)(?::(.+))?")
BARE_VERSION = re.compile(r"[0-9a-f]{64}")
# What of a model's options tells which weights it has.
TELLING = ("weights", "model", "file", "revision")


class Reference(Struct, frozen=True):
    """The model that requests may call `id`, as this protocol says it; `digest` is the version it always has."""

    id: str
    served: Served
    owner: str
    name: str
    version: str
    digest: str

    @property
    def full(self) -> str:
        return f"{self.owner}/{self.name}"

    def means(self, text: str) -> bool:
        """Whether a client that writes this may mean it."""
        full = self.full
        return text in (full, self.version, self.digest, f"{full}:{self.version}", f"{full}:{self.digest}")


def reference(id: str, served: Served) -> Reference:
    """A name that requests may use. A name with more slashes has two hyphens for each of them."""
    digest = _digest(served.called(id), served)
    if BARE_VERSION.fullmatch(id):
        owner, name, _ = _parts(served.name)
        return Reference(id, served, owner, name, id, digest)
    owner, name, version = _parts(id)
    return Reference(id, served, owner, name, version or digest, digest)


def references(router: Router) -> Iterator[Reference]:
    """All of them, but for aliases that are no more than a version."""
    return (reference(id, served) for id, served in router.names if not BARE_VERSION.fullmatch(id))


def resolve(router: Router, text: str) -> Reference | None:
    """The model that a client means by `text`."""
    served = router.names.find(text)
    if served is not None:
        return reference(text, served)
    found = (reference(id, served) for id, served in router.names)
    return next((each for each in found if each.means(text)), None)


def full_name(id: str) -> str:
    """The same for a model that may not be there any more."""
    owner, name, _ = _parts(id)
    return f"{owner}/{name}"


def _parts(id: str) -> tuple[str, str, str]:
    found = PARTS.fullmatch(id)
    if found is None:
        return LOCAL, re.sub("[/:]", "--", id), ""
    owner, name, version = found.groups()
    return owner or LOCAL, name.replace("/", "--"), version or ""


def _digest(name: str, served: Served) -> str:
    config = served.config
    told = [str(config.options.get(option, "")) for option in TELLING]
    parts = (name, config.backend, config.model or "", str(config.engine.get("revision", "")), *told)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()
