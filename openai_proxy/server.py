"""The process: bind, serve, drain, reload.

The port opens first, then the application is built; models load behind it. SIGTERM and SIGINT drain, a second one
ends the process within two seconds, SIGHUP reads the configuration again.
"""

from __future__ import annotations

import functools
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias

from openai_proxy import logs, process
from openai_proxy.app import Application, create_app
from openai_proxy.config import Config, Server
from openai_proxy.door import Door, raise_descriptors
from openai_proxy.keys import Keys
from openai_proxy.origins import is_loopback
from openai_proxy.process import BACKLOG, Process, Read, listening
from openai_proxy.rewriting import exposed
from openai_proxy.workers.supervisor import Supervisor
from openai_proxy.workers.worker import prepare, serve

Listeners: TypeAlias = dict[int, list[socket.socket]]
Started: TypeAlias = Callable[[Application, Sequence[socket.socket]], None]

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
        listeners = listen(config.server)
    except UnsafeStart as error:
        return _give_up(str(error), REFUSED)
    except OSError as error:
        return _give_up(f"cannot listen on {config.server.host}:{config.server.port}: {error.strerror}", 1)
    safely = functools.partial(_read_safely, read)
    serve_them = _serve if config.server.workers == 1 else _supervise
    return serve_them(config, keys, safely, listeners, descriptors, watch, started)


def _serve(
    config: Config, keys: Keys, read: Read, listeners: Listeners, descriptors: int, watch: bool, started: Started
) -> int:
    """Serve in this process."""
    try:
        application = create_app(config, keys)
    except ValueError as error:
        return _give_up(str(error), REFUSED)
    writer = logs.start(human=HUMAN[config.server.log_format])
    try:
        _warn(config, application.remarks())
        door = Door(application.edge, descriptors)
        serving = Process(listening(application, door), application, door, read, watch=watch)
        serving.serving = functools.partial(started, application, listeners[1])
        serving.run(listeners[1])
        return serving.code
    finally:
        for listener in listeners[1]:
            listener.close()
        writer.close()


def _supervise(
    config: Config, keys: Keys, read: Read, listeners: Listeners, descriptors: int, watch: bool, started: Started
) -> int:
    """Supervise several processes; in each of these, serve."""
    human = HUMAN[config.server.log_format]
    try:
        remarks = prepare(config, keys).remarks()
        supervisor = Supervisor(config, keys, read, listeners, descriptors, process.WATCH_EVERY if watch else None)
    except ValueError as error:
        return _give_up(str(error), REFUSED)
    logs.start_direct(human=human)
    _warn(config, remarks)
    found = supervisor.run()
    if isinstance(found, int):
        return found
    return serve(found, lambda application: started(application, listeners[1]), human=human)


def _read_safely(read: Read) -> tuple[Config, Keys]:
    config, keys = read()
    check_safe(config, keys)
    return config, keys


def listen(server: Server) -> Listeners:
    """Listening sockets for each worker, by its number from 1, all on one port. Raises OSError."""
    if server.workers == 1:
        return {1: bind(server.host, server.port)}
    if server.port:
        for listener in bind(server.host, server.port):  # nor may another server be there that shares its port
            listener.close()
    listeners = {1: bind(server.host, server.port, shared=True)}
    for number in range(2, server.workers + 1):
        listeners[number] = bind(server.host, listeners[1][0].getsockname()[1], shared=True)
    return listeners


def bind(host: str, port: int, *, shared: bool = False) -> list[socket.socket]:
    """Listening sockets on every address of `host`, all on one port. Raises OSError."""
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listener = socket.socket(family, kind, protocol)
            sockets.append(listener)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if shared:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
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


def _warn(config: Config, remarks: Iterable[str]) -> None:
    for remark in remarks:
        log.warning("%s", remark)
    for kind, file in (("key file", config.auth.key_file), ("accounts file", config.accounts.file)):
        if file and exposed(Path(os.path.expanduser(file))):
            log.warning("others can read the %s %s: chmod 600 it", kind, file)


def _give_up(reason: str, code: int) -> int:
    sys.stderr.write(f"openai-proxy: {reason}\n")
    return code
