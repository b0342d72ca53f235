"""Whose certificates are believed: the system's, or those of a file that the settings name."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Protocol

from openai_proxy.fetching import NotFetched


class Settings(Protocol):
    """A section of the configuration."""

    @property
    def ca_file(self) -> str | None: ...


class Trust:
    """Reads the file once for each configuration, as that takes a while. `name` is what the setting is called."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._known: tuple[Settings, ssl.SSLContext] | None = None

    async def context(self, settings: Settings) -> ssl.SSLContext:
        """Raises NotFetched where the file cannot be read any more."""
        if self._known is None or self._known[0] is not settings:
            self._known = (settings, await asyncio.to_thread(self._read, settings.ca_file))
        return self._known[1]

    def _read(self, file: str | None) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=file and os.path.expanduser(file))
        except OSError as error:
            raise NotFetched("unreachable", f"{self.name} cannot be read: {error}") from error
