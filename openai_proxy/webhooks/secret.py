"""What webhooks are signed with: from a file or the environment, never from a command or the configuration itself.

`whsec_` and base64 is how Svix, Replicate and others write the bytes of one; any other text is its own bytes. There may
be several, on lines of their own or with commas between: receivers get a signature by each, so that one can be replaced
without a gap.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Mapping
from pathlib import Path

from openai_proxy.config import WebhookSettings

PREFIX = "whsec_"
SHORTEST, MOST = 16, 8
VISIBLE = re.compile(r"[!-~]+")


class SecretProblem(ValueError):
    """A secret cannot be read. Never holds one. `setting` is where it should have come from."""

    def __init__(self, setting: str, text: str) -> None:
        super().__init__(text)
        self.setting = setting


def secrets_of(settings: WebhookSettings, environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """All of them, the file's first; none: webhooks are off. Raises SecretProblem."""
    found: list[bytes] = []
    if settings.secret_file is not None:
        found += _parsed("secret_file", settings.secret_file, _text(settings.secret_file))
        if not found:
            raise SecretProblem("secret_file", f"{settings.secret_file} holds no secret")
    found += _parsed("secret_env", settings.secret_env, environ.get(settings.secret_env, ""))
    return tuple(found)


def _text(file: str) -> str:
    """The file without lines that are comments."""
    try:
        lines = Path(os.path.expanduser(file)).read_text("utf-8").splitlines()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise SecretProblem("secret_file", f"{file} cannot be read: {reason}") from None
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def _parsed(setting: str, name: str, text: str) -> list[bytes]:
    written = [each.strip() for each in re.split("[\n,]", text) if each.strip()]
    if len(written) > MOST:
        raise SecretProblem(setting, f"{name} holds more than {MOST} secrets")
    return [_bytes(setting, f"{name}, secret {number}", each) for number, each in enumerate(written, 1)]


def _bytes(setting: str, name: str, text: str) -> bytes:
    if not VISIBLE.fullmatch(text):
        raise SecretProblem(setting, f"{name}: a secret is visible ASCII characters without blanks and commas")
    key = text.encode("ascii")
    if text.startswith(PREFIX):
        try:
            key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
        except binascii.Error:
            raise SecretProblem(setting, f"{name}: after {PREFIX} comes base64") from None
    if len(key) < SHORTEST:
        raise SecretProblem(setting, f"{name}: a secret has at least {SHORTEST} bytes")
    return key
