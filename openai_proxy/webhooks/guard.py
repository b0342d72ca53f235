"""Which addresses may be called: by what can be read of them, and by where they lead."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable

from openai_proxy.config import Config
from openai_proxy.errors import UrlNotAllowed
from openai_proxy.fetching import NotFetched
from openai_proxy.fetching.address import Address, matches, read
from openai_proxy.fetching.lookup import LookUp
from openai_proxy.fetching.reach import checked
from openai_proxy.webhooks.secret import SecretProblem, secrets_of

ANY = "*"
OFF = "Webhooks are not enabled on this server."
# Why is in the log: clients shall not find out through this server what there is in its network.
REFUSAL = "{param}: this address cannot be called."

log = logging.getLogger("openai_proxy.webhooks")


class Guard:
    """`config` is asked each time: it may be reloaded; so are the secrets."""

    def __init__(self, config: Callable[[], Config], look_up: LookUp) -> None:
        self.look_up = look_up
        self._config = config

    async def secrets(self) -> tuple[bytes, ...]:
        """What is signed with. Raises NotFetched where webhooks are off."""
        settings = self._config().webhooks
        try:
            found = await asyncio.to_thread(secrets_of, settings, os.environ)
        except SecretProblem as problem:
            raise NotFetched("blocked", str(problem)) from None
        if not found or not settings.domains:
            raise NotFetched("blocked", "webhooks are off")
        return found

    def read(self, url: str, param: str) -> Address:
        """What an address means, if it may be called by what can be read of it. Raises UrlNotAllowed, with the reason:
        it tells nothing but what the client wrote and what the settings are.
        """
        config = self._config()
        if len(url) > config.limits.url:
            raise UrlNotAllowed(f"{param}: an address has at most {config.limits.url} characters.", param=param)
        try:
            found = read(url)
        except ValueError as error:
            raise UrlNotAllowed(f"{param}: the address {error}.", param=param) from None
        settings = config.webhooks
        if not isinstance(found, Address) or found.scheme not in settings.schemes:
            reason = f"only {' and '.join(settings.schemes)} addresses are called here"
        elif found.port not in settings.ports:
            reason = "this port is not called here"
        elif ANY not in settings.domains and not matches(found.host, settings.domains):
            reason = "this host is not called here"
        else:
            return found
        raise UrlNotAllowed(f"{param}: {reason}.", param=param)

    async def reached(self, address: Address) -> list[str]:
        """The IP addresses to call, all of which may be. Raises NotFetched."""
        config = self._config()
        return await checked(address, self.look_up, config.webhooks.networks, config.timeouts.webhook)

    async def accept(self, url: str, param: str) -> Address:
        """All of this, before anything is called. Raises UrlNotAllowed."""
        try:
            await self.secrets()
        except NotFetched:
            raise UrlNotAllowed(OFF, param=param) from None
        address = self.read(url, param)
        try:
            await self.reached(address)
        except NotFetched as refused:
            log.warning("webhook to %s is refused: %s (%s)", address.host, refused.reason, refused.note)
            raise UrlNotAllowed(REFUSAL.format(param=param), param=param) from refused
        return address
