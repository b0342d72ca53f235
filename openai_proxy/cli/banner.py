"""What `serve` says first: where it listens, what it serves, who may call, and a line to try."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
from collections.abc import Collection, Sequence
from typing import Any

from openai_proxy import __version__
from openai_proxy.app import Application
from openai_proxy.cli.callers import who_may_call
from openai_proxy.config import Config
from openai_proxy.served import Served

EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104

QUESTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("chat/completions", {"messages": [{"role": "user", "content": "Hello!"}]}),
    "completion": ("completions", {"prompt": "Once upon a time"}),
    "embedding": ("embeddings", {"input": "Hello!"}),
}


def banner(application: Application, sockets: Sequence[socket.socket]) -> None:
    """Print it on standard error; one that cannot be written to does not keep the server from serving."""
    edge = application.edge
    url = address(sockets[0])
    rows = [("", f"openai-proxy {__version__} listens on {url}")]
    rows += [("model", model(served, edge.config)) for served in edge.router.models.values()]
    if edge.config.server.workers > 1:
        rows += [("workers", str(edge.config.server.workers))]
    rows += [("keys", who_may_call(len(edge.keys), edge.config.server, edge.config.accounts))]
    rows += [("docs", f"{url}/docs")]
    rows += [("try", example(edge.router.models.values(), url, edge.config.default_model, locked=bool(edge.keys)))]
    with contextlib.suppress(OSError):
        sys.stderr.write("".join(f"{label:>7}  {text}\n" if label else f"{text}\n" for label, text in rows))
        sys.stderr.flush()


def address(listener: socket.socket) -> str:
    """The URL of a listening socket; of one that listens everywhere, the one for this machine."""
    host, port = listener.getsockname()[:2]
    shown = EVERYWHERE.get(host) or (f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def model(served: Served, config: Config) -> str:
    also = f", also {', '.join(served.config.aliases)}" if served.config.aliases else ""
    default = ", default" if served.name == config.default_model else ""
    state = served.state.name
    return f"{served.name} ({served.config.backend}{default}) {'loading' if state == 'stopped' else state}{also}"


def example(models: Collection[Served], url: str, default: str | None, *, locked: bool) -> str:
    """One line that asks a model something, one that can chat if there is any."""
    key = ' -H "authorization: Bearer $KEY"' if locked else ""
    able = [(kind, each) for kind in QUESTIONS for each in models if kind in each.model.kinds and not each.discovers]
    if not able:
        return f"curl {url}/v1/models{key}"
    kind, served = able[0]
    path, body = QUESTIONS[kind]
    named = {} if served.name == default else {"model": served.name}
    text = json.dumps({**named, **body}, separators=(",", ":")).replace("'", "\\u0027")
    return f"curl {url}/v1/{path}{key} -H 'content-type: application/json' -d '{text}'"
