"""Which server a client command talks to and with which key: flags, then the environment, then the default."""

from __future__ import annotations

import argparse
import urllib.parse
from collections.abc import Mapping

from openai_proxy.cli.ending import MISUSED, Ending
from openai_proxy.cli.plain import one_line

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


def api_key(args: argparse.Namespace, environ: Mapping[str, str]) -> str | None:
    """The API key, if one is set. Ends the command when it is none."""
    key = environ.get(args.api_key_env, "").strip()
    if not is_visible(key):
        raise Ending(f"the API key in {args.api_key_env} has characters that no key has", MISUSED)
    return key or None


def refused(url: str) -> Ending:
    """The ending when no server listens at `url`."""
    return Ending(f"nothing answers at {url}; start a server with `openai-proxy serve`, or name one with --base-url")


def unauthorized(args: argparse.Namespace, url: str, key: str | None) -> Ending:
    """The ending when the server does not take the key."""
    if key is None:
        return Ending(f"{url} asks for an API key: put it into the variable {args.api_key_env}")
    return Ending(f"{url} does not accept the API key in {args.api_key_env}")
