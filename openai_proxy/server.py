"""The process: bind, serve, drain, reload.

The port opens first, then the application is built; models load behind it. SIGTERM and SIGINT drain, a second one
ends the process within two seconds, SIGHUP reads the configuration again.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias, cast

import uvicorn

from openai_proxy import logs
from openai_proxy.app import Application, create_app
from openai_proxy.config import Config
from openai_proxy.door import Door, raise_descriptors
from openai_proxy.keys import Keys, exposed
from openai_proxy.origins import is_loopback
from openai_proxy.process import Process, Read
from openai_proxy.protocol import Protocol

Started: TypeAlias = Callable[[Application, Sequence[socket.socket]], None]

BACKLOG = 2048
REFUSED = 2
HUMAN = {"auto": None, "text": True, "json": False}

log = logging.getLogger("openai_proxy.server")


class UnsafeStart(ValueError):
    """The server would be open to more than its operator meant."""


def check_safe(config: Config, keys: Keys) -> None:
    """Refuse what would let strangers in. Raises UnsafeStart with one sentence."""
    server = config.server
    if not keys and not server.allow_unauthenticated and not is_loopback(server.host):
        raise UnsafeStart(
            f"refusing to listen on {server.host} without an API key: make one with `openai-proxy keys new`, "
            "or allow it with --allow-unauthenticated"
        )
    if keys and "*" in server.origins:
        raise UnsafeStart('server.origins may not hold "*" when keys are configured: name the origins')


def run(config: Config, keys: Keys, read: Read, *, watch: bool, started: Started) -> int:
    """Serve until a signal ends it; the exit code. `started` is called once requests are answered.

    `read` gives the configuration anew, for SIGHUP and, with `watch`, whenever what it gives has changed.
    """
    try:
        check_safe(config, keys)
        descriptors = raise_descriptors()
        sockets = bind(config.server.host, config.server.port)
    except UnsafeStart as error:
        return _give_up(str(error), REFUSED)
    except OSError as error:
        return _give_up(f"cannot listen on {config.server.host}:{config.server.port}: {error.strerror}", 1)
    try:
        application = create_app(config, keys)
    except ValueError as error:
        return _give_up(str(error), REFUSED)
    writer = logs.start(human=HUMAN[config.server.log_format])
    try:
        _warn(config)
        process = build(application, descriptors, read, watch=watch)
        process.serving = functools.partial(started, application, sockets)
        process.run(sockets)
        return process.code
    finally:
        for listener in sockets:
            listener.close()
        writer.close()


def build(application: Application, descriptors: int, read: Read, *, watch: bool) -> Process:
    """The process around an application, ready to `run` on sockets."""
    door = Door(application.edge, descriptors)
    config = uvicorn.Config(
        cast(Any, application),
        http=cast(Any, functools.partial(Protocol, door=door)),
        loop="uvloop" if importlib.util.find_spec("uvloop") else "asyncio",
        ws="none",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
    )
    return Process(config, application, door, functools.partial(_read_safely, read), watch=watch)


def _read_safely(read: Read) -> tuple[Config, Keys]:
    config, keys = read()
    check_safe(config, keys)
    return config, keys


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening sockets on every address of `host`, all on one port. Raises OSError."""
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            chosen = sockets[0].getsockname()[1] if port == 0 and len(sockets) > 1 else port
            listener.bind((address[0], chosen, *address[2:]))
            listener.listen(BACKLOG)
            os.set_blocking(listener.fileno(), False)
    except OSError:
        for listener in sockets:
            listener.close()
        raise
    return sockets


def _warn(config: Config) -> None:
    if config.auth.key_file and exposed(Path(os.path.expanduser(config.auth.key_file))):
        log.warning("others can read the key file %s: chmod 600 it", config.auth.key_file)


def _give_up(reason: str, code: int) -> int:
    sys.stderr.write(f"openai-proxy: {reason}\n")
    return code
