"""The cluster: the one place that imports Ray. All but `remote` blocks, for up to some seconds: call it in a thread."""

from __future__ import annotations

import hashlib
import logging
import re
import signal
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from backends.errors import Unavailable
from backends.ray.options import MISSING, NO_CLIENT, installed

NAMESPACE = "openai-proxy"
PREFIX = "openai-proxy-"
RUNNING = "RUNNING"
FAILED = "DEPLOY_FAILED"

# A replica that died is missed after this; one that says nothing is given up after that.
HEALTH_PERIOD, HEALTH_PATIENCE = 1.0, 30.0
# How often a replica that cannot load is started anew before the deployment has failed.
TRIES = 3
# Seconds in which the cluster's address has to take a connection.
REACHED_WITHIN = 5.0
# Seconds between two looks at what is to end.
LOOK = 0.1

# Ray's connection is the process's, and Serve's client is not for several threads: it registers modules to be pickled
# by value for a moment, also when it only asks for a status.
_one_at_a_time = threading.Lock()


class Deployment(Struct, frozen=True):
    """A class that runs on the cluster, with the arguments it is constructed from and Serve's settings for it.

    `digest` tells whether one that runs already is the same.
    """

    name: str
    target: type
    arguments: tuple[Any, ...]
    settings: Mapping[str, Any]
    digest: str

    @property
    def application(self) -> str:
        return application(self.name)


class Standing(Struct, frozen=True):
    """How a deployment does: replicas that live, those it shall have that do not yet, and what Serve says of it."""

    running: int = 0
    starting: int = 0
    failed: bool = False
    note: str = ""


def application(name: str) -> str:
    """The name of Serve's application for a model or program of ours."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", name)
    return PREFIX + (plain if plain == name else f"{plain}-{digest(name)}")


def digest(*parts: object) -> str:
    """A short name for what something is made from."""
    return hashlib.sha256("\0".join(map(repr, parts)).encode()).hexdigest()[:10]


def connect(address: str) -> None:
    """Be one of the cluster's programs, if we are not yet. Raises Unavailable."""
    if not installed():
        raise Unavailable(MISSING)
    if address.startswith("ray://"):
        raise Unavailable(NO_CLIENT)
    import ray

    with _one_at_a_time:
        if not ray.is_initialized():
            _join(address)


def _join(address: str) -> None:
    import ray
    from ray import serve

    for name in ("ray", "ray.serve", "ray._private.worker"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        _reach(address)
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
        serve.start(proxy_location="Disabled")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise Unavailable(f"no Ray cluster answers at {address!r}: {first_line(error)}") from error
    _quieten()


def take_signals_back() -> None:
    """Ray's own handler prints a stack at SIGTERM before ours is called: ours shall be the only one again."""
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def disconnect() -> None:
    """Leave the cluster, if we are in one."""
    import ray

    ray.shutdown()


def _reach(address: str) -> None:
    """Ray tries for minutes to reach a machine that does not answer. Raises OSError or ValueError."""
    host, colon, port = address.rpartition(":")
    if colon:
        socket.create_connection((host.strip("[]"), int(port)), REACHED_WITHIN).close()


def _quieten() -> None:
    """Let Serve's log go where ours goes: it brings a handler of its own."""
    logger = logging.getLogger("ray.serve")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.ERROR)


def deploy(deployment: Deployment) -> bool:
    """Let it run on the cluster; returns at once. False when the very same ran there already. Raises Unavailable."""
    from ray import serve

    found = _applications().get(deployment.application)
    if found is not None and deployment.digest in found.deployments and found.status not in (FAILED, "DELETING"):
        return False
    try:
        with _one_at_a_time:
            described = serve.deployment(deployment.target, name=deployment.digest, **deployment.settings)
            bound = described.bind(*deployment.arguments)
            run = serve.RunTarget(bound, name=deployment.application, route_prefix=None)
            serve.run_many([run], wait_for_applications_running=False)
    except (RuntimeError, ValueError) as error:
        raise Unavailable(f"the cluster does not take the deployment: {first_line(error)}") from error
    _quieten()
    return True


def standing(deployment: Deployment) -> Standing:
    """How it does now. Raises Unavailable when the cluster does not answer."""
    found = _applications().get(deployment.application)
    if found is None:
        return Standing(note="it was deleted")
    own = found.deployments.get(deployment.digest)
    if own is None:
        return Standing(failed=found.status == FAILED, note=reason(found.message))
    states = {str(getattr(name, "value", name)): count for name, count in own.replica_states.items()}
    starting = sum(states.get(name, 0) for name in ("STARTING", "UPDATING", "RECOVERING", "PENDING_INITIALIZATION"))
    note = reason(own.message or found.message)
    return Standing(states.get(RUNNING, 0), starting, found.status == FAILED or own.status == FAILED, note)


def handle(deployment: Deployment) -> Any:
    """What its methods are called by."""
    from ray import serve

    with _one_at_a_time:
        return serve.get_deployment_handle(deployment.digest, app_name=deployment.application)


def delete(names: Sequence[str]) -> None:
    """End applications; returns when their replicas have ended."""
    from ray import serve

    for name in names:
        with _one_at_a_time:
            serve.delete(name, _blocking=False)
        while name in _applications():
            time.sleep(LOOK)


def ours() -> list[str]:
    """The applications of this program that the cluster has."""
    return sorted(name for name in _applications() if name.startswith(PREFIX))


def _applications() -> Mapping[str, Any]:
    import ray
    from ray import serve

    try:
        with _one_at_a_time:
            applications: Mapping[str, Any] = serve.status().applications
    except (ray.exceptions.RayError, RuntimeError) as error:
        raise Unavailable(f"the Ray cluster does not answer: {first_line(error)}") from error
    return applications


def first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300]


def reason(message: str) -> str:
    """What went wrong in the end, out of a message of Serve's that may hold a traceback."""
    lines = [line.strip() for line in message.strip().splitlines() if line.strip()]
    if not lines:
        return ""
    last = lines[-1] if "Traceback" in message else lines[0]
    return re.sub(r"^[\w.]+\.(\w+): ", "", last)[:300]
