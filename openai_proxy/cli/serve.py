"""`openai-proxy serve`: the server, with a banner and the progress of its models."""

from __future__ import annotations

import argparse
import asyncio
import socket
from collections.abc import Mapping, Sequence

from openai_proxy import server
from openai_proxy.app import Application
from openai_proxy.cli import shortcut
from openai_proxy.cli.arguments import add_config
from openai_proxy.cli.banner import banner
from openai_proxy.cli.ending import MISUSED, Ending
from openai_proxy.cli.installation import refuse_scattered
from openai_proxy.cli.progress import follow
from openai_proxy.config import Config
from openai_proxy.configure import ConfigError, read
from openai_proxy.keys import Keys

DESCRIPTION = """\
Serve models over HTTP in OpenAI's protocol. Without a configuration small models are served, which are fetched
at the first start. The port is open at once; models load behind it.

  openai-proxy serve
  openai-proxy serve --config openai-proxy.toml --watch
  openai-proxy serve --model ./some-model.gguf --port 9000
  openai-proxy serve --model organisation/name               a model in Hugging Face's form, by vLLM
  openai-proxy serve --backend echo                          no model at all, for tests of clients

Flags are stronger than variables (OPENAI_PROXY_SERVER_PORT), those stronger than the file. SIGHUP reads the
configuration again, SIGTERM and Ctrl-C let running answers finish, a second one ends at once.
"""
SETTINGS = {
    "host": "server.host",
    "port": "server.port",
    "workers": "server.workers",
    "key_file": "auth.key_file",
    "log_format": "server.log_format",
    "allow_unauthenticated": "server.allow_unauthenticated",
}


def describe(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    add_config(parser)
    parser.add_argument("--host", metavar="ADDRESS", help="address to listen on (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, metavar="N", help="port to listen on, 0 for a free one (default: 8000)")
    workers = "processes that serve; more than one only where no model has an engine in the process (default: 1)"
    parser.add_argument("--workers", type=int, metavar="N", help=workers)
    parser.add_argument("--key-file", metavar="FILE", help="file of API keys, made by `openai-proxy keys new`")
    model = "serve only this: a GGUF file, a configured model, or organisation/name or a folder for vLLM"
    parser.add_argument("--model", metavar="NAME", help=model)
    parser.add_argument("--backend", metavar="NAME", help="serve only one model, with this backend")
    parser.add_argument("--watch", action="store_true", help="take a changed configuration or key file while serving")
    parser.add_argument("--log-format", choices=("auto", "text", "json"), help="lines for people or for machines")
    parser.add_argument(
        "--allow-unauthenticated",
        action="store_true",
        default=None,
        help="listen beyond this machine without any key: everybody who reaches the port may use the models",
    )


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    refuse_scattered()
    following: set[asyncio.Task[None]] = set()

    def read_all() -> tuple[Config, Keys]:
        return configured(args, environ)

    def started(application: Application, sockets: Sequence[socket.socket]) -> None:
        banner(application, sockets)
        following.add(asyncio.get_running_loop().create_task(follow(application.edge.router)))

    try:
        config, keys = read_all()
    except ConfigError as error:
        raise Ending(f"the configuration cannot be used\n{error}", MISUSED) from error
    except (ValueError, OSError) as error:
        raise Ending(str(error), MISUSED) from error
    return server.run(config, keys, read_all, watch=args.watch, started=started)


def configured(args: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Config, Keys]:
    """What flags, environment and files say now. Raises ConfigError, KeyProblem or OSError."""
    overrides = {path: value for name, path in SETTINGS.items() if (value := getattr(args, name)) is not None}
    shortcuts = shortcut.models(args.model, args.backend)
    config = read(args.config, environ, {**overrides, **shortcuts})
    if args.model and not shortcuts:
        if shortcut.names_repository(args.model, config):
            config = read(args.config, environ, {**overrides, **shortcut.repository(args.model, args.model)})
        else:
            config = shortcut.only(config, args.model)
    return config, Keys.read(config.auth, environ)
