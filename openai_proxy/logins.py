"""Logins: keys for a while that a client gets for its API key, bounded in number, and of which only digests are kept.

Where several processes serve, each keeps those that it gave; by a signature the others know at once that one did.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
import uuid
from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

from openai_proxy.config import Config


class Login(Struct, frozen=True):
    """Whose key it was, by the digest of that, and the one endpoint that it is for; "": for all. Or whose account it
    was: `user`, and `key` is then the mark of its password.
    """

    key: bytes
    endpoint: str = ""
    user: str = ""


class Manner(Struct, frozen=True):
    """How a protocol has its logins: `bounds` are how many are known at once, and after how many seconds without use
    one ends; `key` makes a fresh key, of 122 random bits at least.
    """

    bounds: Callable[[Config], tuple[int, float]]
    key: Callable[[], str]


AIME = Manner(lambda config: (config.aime.logins, config.aime.login_idle), lambda: str(uuid.uuid4()))
GRADIO = Manner(lambda config: (config.gradio.logins, config.gradio.login_idle), lambda: secrets.token_urlsafe(24))


class Logins:
    """The logins of this process. `config` is asked each time: it may be reloaded. Others have the same `secret`."""

    def __init__(
        self, config: Callable[[], Config], clock: Callable[[], float] = time.monotonic, manner: Manner = AIME
    ) -> None:
        self._config = config
        self._clock = clock
        self._manner = manner
        self.secret = secrets.token_bytes(32)
        self._known: OrderedDict[bytes, tuple[Login, float]] = OrderedDict()

    def new(self, login: Login, *, sign: bool = False) -> str:
        """A fresh key for a login. The one that was not used for the longest time may be forgotten for it."""
        session = self._manner.key()
        if sign:
            session += "." + self._signature(session)
        self._keep(_digest(session), login)
        most, _ = self._manner.bounds(self._config())
        while len(self._known) > most:
            self._known.popitem(last=False)
        return session

    def find(self, session: str) -> Login | None:
        """The login of that key, which is then good for the whole time again; None for one that is not known."""
        digest = _digest(session)
        login, used = self._known.pop(digest, (None, 0.0))
        _, idle = self._manner.bounds(self._config())
        if login is None or used + idle <= self._clock():
            return None
        self._keep(digest, login)
        return login

    def signed(self, session: str) -> bool:
        """Whether a process that serves with this one gave and signed it; it may have ended since."""
        key, _, signature = session.partition(".")
        return hmac.compare_digest(self._signature(key).encode(), signature.encode("utf-8", "surrogatepass"))

    def _signature(self, key: str) -> str:
        return hmac.new(self.secret, key.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def _keep(self, digest: bytes, login: Login) -> None:
        self._known[digest] = login, self._clock()

    def __len__(self) -> int:
        return len(self._known)


def _digest(session: str) -> bytes:
    return hashlib.sha256(session.encode("utf-8", "surrogatepass")).digest()
