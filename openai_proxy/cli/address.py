"""Which server a client command talks to, and as whom: flags, then the environment, then the default."""

from __future__ import annotations

import argparse
import base64
import urllib.parse
from collections.abc import Mapping
from typing import TypeAlias

from openai_proxy.cli.ending import MISUSED, Ending
from openai_proxy.cli.plain import one_line

# Headers that say who asks; none where nobody has to.
Who: TypeAlias = Mapping[str, str]

# Where a key goes beside an account.
KEY = "X-API-Key"
DEFAULT = "http://127.0.0.1:8000/v1"


def describe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base-url", metavar="URL", help=f"server to talk to (default: $OPENAI_BASE_URL, or {DEFAULT})"
    )
    parser.add_argument(
        "--api-key-env",
        metavar="NAME",
        default="OPENAI_API_KEY",
        help="environment variable that holds the API key (default: OPENAI_API_KEY)",
    )
    parser.add_argument(
        "--user-env",
        metavar="NAME",
        default="OPENAI_PROXY_USER",
        help="environment variable that holds an account, as name:password (default: OPENAI_PROXY_USER)",
    )


def base_url(args: argparse.Namespace, environ: Mapping[str, str]) -> str:
    """The server's base URL without a slash at its end. Ends the command when it is none."""
    url: str = args.base_url or environ.get("OPENAI_BASE_URL") or DEFAULT
    if not is_base_url(url):
        raise Ending(f"{one_line(ascii(url))} is not a base URL like {DEFAULT}", MISUSED)
    return url.rstrip("/")


def is_base_url(text: str) -> bool:
    """Whether a request can be made of this: a host that can be looked up, a path as it is written on the wire."""
    try:
        parts = urllib.parse.urlsplit(text)
        host = (parts.hostname or "").encode("idna")
        return parts.scheme in {"http", "https"} and bool(host) and parts.port != 0 and is_visible(parts.path)
    except ValueError:
        return False


def is_visible(text: str) -> bool:
    """Whether these are ASCII characters without spaces, as a path or a key must be."""
    return text.isascii() and text.isprintable() and " " not in text


def who_asks(args: argparse.Namespace, environ: Mapping[str, str]) -> Who:
    """The key and the account, as far as they are set. Ends the command when they are none."""
    key, user = api_key(args, environ), environ.get(args.user_env, "")
    if not user:
        return {"Authorization": f"Bearer {key}"} if key else {}
    if ":" not in user:
        raise Ending(f"the account in {args.user_env} is not written as name:password", MISUSED)
    basic = base64.b64encode(user.encode("utf-8", "surrogateescape")).decode()
    return {"Authorization": f"Basic {basic}"} | ({KEY: key} if key else {})


def api_key(args: argparse.Namespace, environ: Mapping[str, str]) -> str | None:
    """The API key, if one is set. Ends the command when it is none."""
    key = environ.get(args.api_key_env, "").strip()
    if not is_visible(key):
        raise Ending(f"the API key in {args.api_key_env} has characters that no key has", MISUSED)
    return key or None


def refused(url: str) -> Ending:
    """The ending when no server listens at `url`."""
    return Ending(f"nothing answers at {url}; start a server with `openai-proxy serve`, or name one with --base-url")


def unauthorized(args: argparse.Namespace, url: str, who: Who, code: str | None) -> Ending:
    """The ending when the server does not take the key or the account; `code` is that of its error."""
    if code == "missing_user":
        return Ending(f"{url} asks for an account: put name:password into the variable {args.user_env}")
    if code == "invalid_user":
        return Ending(f"{url} does not accept the account in {args.user_env}")
    if KEY in who or who.get("Authorization", "").startswith("Bearer "):
        return Ending(f"{url} does not accept the API key in {args.api_key_env}")
    return Ending(f"{url} asks for an API key: put it into the variable {args.api_key_env}")
