"""`openai-proxy ray`: put a configuration's models and the server itself on a Ray cluster, and take them away."""

from __future__ import annotations

import argparse
import asyncio
import pathlib
import tomllib
from collections.abc import Mapping

from backends import Backend, State, resolve
from backends.errors import BackendError
from backends.ray import cluster
from backends.ray.program import program
from openai_proxy import configure, server
from openai_proxy.cli.ending import MISUSED, Ending
from openai_proxy.config import Config
from openai_proxy.keys import KeyProblem, Keys
from openai_proxy.process import LAST_WORDS

DESCRIPTION = """\
Serve on an existing Ray cluster (ray[serve]). Each model with backend = "ray" becomes a deployment of Ray Serve, and
the server a program on one of the nodes, or on several: it listens there itself, as the file's [server] says. Every
node needs this package in the same version, and whatever its engines need.

  openai-proxy ray deploy openai-proxy.toml                   from a node of the cluster
  openai-proxy ray deploy openai-proxy.toml --edges 2         two servers, on two nodes
  openai-proxy ray delete                                     take all of it away

Cluster ports are for a private network only: who reaches them can run programs there.
"""
# No model can have this name of the server's deployment: it has no printable form in the file.
EDGE = "the edge\n"
LOOK = 0.5


def describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    actions = parser.add_subparsers(metavar="ACTION", dest="action", required=True)
    deploy = actions.add_parser("deploy", help="put the models and the server on the cluster, or renew them")
    deploy.add_argument("config", type=pathlib.Path, metavar="CONFIG", help="configuration file")
    deploy.add_argument("--edges", type=int, default=1, metavar="N", help="servers, each on a node (default: 1)")
    delete = actions.add_parser("delete", help="take all that was deployed away again")
    for action in (deploy, delete):
        action.add_argument("--address", default="auto", help="the cluster (default: auto, that of this machine)")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    try:
        if args.action == "delete":
            delete(args.address)
        else:
            deploy(args.config, args.address, args.edges, environ)
    except BackendError as error:
        raise Ending(str(error)) from error
    return 0


def delete(address: str) -> None:
    cluster.connect(address)
    names = cluster.ours()
    edge = cluster.application(EDGE)
    cluster.delete(sorted(names, key=lambda name: name != edge))
    print("\n".join(f"deleted {name}" for name in names) or "nothing was deployed")


def deploy(file: pathlib.Path, address: str, edges: int, environ: Mapping[str, str]) -> None:
    config, keys = checked(file, environ)
    if edges < 1:
        raise Ending("--edges must be at least 1", MISUSED)
    cluster.connect(address)
    asyncio.run(deploy_models(config))
    patience = config.server.grace + config.server.drain + 2 * LAST_WORDS
    files = {"openai-proxy.toml": file.read_text(encoding="utf-8"), "keys": keys.text()}
    arguments = ["openai_proxy", "serve", "--config", "openai-proxy.toml", *["--key-file", "keys"] * bool(keys)]
    edge = program(EDGE, tuple(arguments), files, config.server.port, patience, edges)
    cluster.deploy(edge)
    asyncio.run(stands(edge))
    print(f"the server listens on {config.server.host}, port {config.server.port}, of {edges} node(s)")


def checked(file: pathlib.Path, environ: Mapping[str, str]) -> tuple[Config, Keys]:
    """The configuration as the cluster will read it: from the file alone. Keys may come from the environment."""
    try:
        config = configure.read(file, {}, {})
        keys = Keys.read(config.auth, environ)
        server.check_safe(config, keys)
    except configure.ConfigError as error:
        raise Ending(f"the configuration cannot be used\n{error}", MISUSED) from error
    except (KeyProblem, server.UnsafeStart, OSError, tomllib.TOMLDecodeError) as error:
        raise Ending(str(error), MISUSED) from error
    if not config.server.port:
        raise Ending("server.port must not be 0: the cluster's server has to be found", MISUSED)
    return config, keys


async def deploy_models(config: Config) -> None:
    """Let every model on Ray be there; they stay when this command ends. Raises BackendError."""
    for name, model in config.models.items():
        if model.backend not in ("ray", "backends.ray:Ray"):
            print(f"model {name}: {model.backend}, in the server's own process")
            continue
        built: list[Backend] = []
        seen: list[State] = []

        def tell(name: str = name, built: list[Backend] = built, seen: list[State] = seen) -> None:
            state = built[0].state
            if not seen or seen[-1] != state:
                seen.append(state)
                print(f"model {name}: {state.name}{f' ({state.note})' if state.note else ''}", flush=True)

        built.append(resolve(model.backend)(model.setup(name, tell)))
        await built[0].start()


async def stands(edge: cluster.Deployment) -> None:
    """Wait until the server listens. Raises Ending with the reason why it does not."""
    while True:
        standing = await asyncio.to_thread(cluster.standing, edge)
        if standing.failed:
            raise Ending(f"the server could not be started: {standing.note}")
        if standing.running and not standing.starting:
            return
        await asyncio.sleep(LOOK)
