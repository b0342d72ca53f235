"""Which model a name means: first what the configuration says, then what engines found by themselves."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping

from openai_proxy.served import Served

log = logging.getLogger("openai_proxy.models")


class Names:
    """The names of these models, as clients may use them."""

    def __init__(self, models: Mapping[str, Served]) -> None:
        own = {name: served for name, served in models.items() if not served.discovers}
        self._configured = {other: served for served in own.values() for other in served.config.names} | own
        self._models = models
        self._finders = [served for served in models.values() if served.discovers]
        self._told: set[tuple[str, str]] = set()

    def find(self, name: str) -> Served | None:
        """The model of that name; None if there is none."""
        served = self._configured.get(name)
        if served is not None:
            return served
        for finder in self._finders:
            if name in finder.discovered:
                return finder
        return None

    def __iter__(self) -> Iterator[tuple[str, Served]]:
        """Each name and its model, in the order of the configuration."""
        for served in self._models.values():
            names = served.discovered if served.discovers else (served.name, *served.config.names)
            for name in names:
                if self.find(name) is served:
                    yield name, served

    def tell_hidden(self) -> None:
        """Log, once for each, what engines found under a name that means another model."""
        for finder in self._finders:
            for name in finder.discovered:
                if (finder.name, name) not in self._told and (served := self.find(name)) is not finder:
                    self._told.add((finder.name, name))
                    meant = served.name if served is not None else ""
                    log.warning("the model %s of %s is hidden by the model %s", name, finder.name, meant)
