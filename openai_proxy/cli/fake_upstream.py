"""`openai-proxy fake-upstream`: a scripted OpenAI-compatible server, good or bad, without a model."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import signal
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from openai_proxy.cli.ending import MISUSED, Ending
from openai_proxy.fake_upstream import FakeUpstream, Options, Script
from openai_proxy.fake_upstream.faults import FAULTS
from openai_proxy.fake_upstream.script import changed

DESCRIPTION = """\
Serve OpenAI's API without a model, well or badly, as a script says: for load tests, and to test what stands before it.
It prints its address and serves until Ctrl-C.

  openai-proxy fake-upstream --chunks 100 --delay 0.02
  openai-proxy fake-upstream --port 9000 --model a --model b --fault reset-after-3 --fault-every 10

A request may bring a script of its own: -H 'x-fake: chunks=10,delay=0.02,fault=status-429'. POST /fake/script changes
the script while it runs ({"down": 2.5} closes the port for so many seconds), GET /fake/seen tells what arrived and
which clients left, POST /fake/reset forgets it. Whoever reaches the port may do that.

Faults:
"""
SCRIPTED: dict[str, tuple[type, str, str]] = {
    "chunks": (int, "N", "chunks of an answer (default: 16)"),
    "size": (int, "N", "characters of a chunk (default: 8)"),
    "text": (str, "TEXT", "answer this, in chunks of --size"),
    "delay": (float, "SECONDS", "between chunks"),
    "batch": (int, "N", "chunks a write (default: 1)"),
    "latency": (float, "SECONDS", "before every answer"),
    "first": (float, "SECONDS", "before the first byte of a model's answer"),
    "pause": (float, "SECONDS", "between its head and its first chunk"),
    "calls": (int, "N", "call so many of the tools that a chat offers"),
    "dimensions": (int, "N", "of embeddings that name none (default: 8)"),
    "slots": (int, "N", "answer so many requests at a time, let others wait"),
    "fault": (str, "NAME", "spoil answers: see above, or `refuse`: nobody can connect"),
    "fault_every": (int, "N", "only each Nth"),
    "fault_rate": (float, "SHARE", "only this share, between 0 and 1, evenly spread"),
    "retry_after": (float, "SECONDS", "goes with 429 and 503 (default: 1)"),
}


def describe(parser: argparse.ArgumentParser) -> None:
    width = max(map(len, FAULTS))
    parser.description = DESCRIPTION + "\n".join(f"  {name:{width}}  {text}" for name, text in FAULTS.items())
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, metavar="N", default=0, help="port to listen on (default: a free one)")
    models = "serve this model; repeatable; '*' takes every name (default: fake)"
    parser.add_argument("--model", metavar="NAME", action="append", help=models)
    parser.add_argument("--name", metavar="NAME", default="fake", help="x-upstream and system_fingerprint of answers")
    parser.add_argument("--key", metavar="VARIABLE", help="environment variable with the key that requests must bring")
    parser.add_argument("--tls-cert", metavar="FILE", help="certificate chain, for https")
    parser.add_argument("--tls-key", metavar="FILE", help="its key, if that is in another file")
    parser.add_argument("--keep", type=int, metavar="N", default=100, help="requests that GET /fake/seen shows (100)")
    for name, (kind, metavar, text) in SCRIPTED.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar=metavar, help=text)
    parser.add_argument("--probes", action="store_true", help="spoil GET /v1/models, /health and /metrics as well")


def run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    options = configured(args, environ)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        try:
            runner.run(serve(options))
        except OSError as error:
            raise Ending(f"cannot listen on {options.host}:{options.port}: {error.strerror}") from error
    return 0


async def serve(options: Options) -> None:
    """Serve until a signal ends it. Raises OSError."""
    upstream = FakeUpstream(options)
    stopped = asyncio.Event()
    for each in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(each, stopped.set)
    await upstream.start()
    print(upstream.url, flush=True)
    await stopped.wait()
    await upstream.close()


def configured(args: argparse.Namespace, environ: Mapping[str, str]) -> Options:
    values: dict[str, Any] = {name: getattr(args, name) for name in SCRIPTED if getattr(args, name) is not None}
    refuse = values.get("fault") == "refuse"
    if refuse:
        del values["fault"]
    try:
        script = changed(Script(), {**values, "probes": args.probes})
    except ValueError as error:
        raise Ending(str(error), MISUSED) from error
    return Options(
        host=args.host.strip("[]"),
        port=args.port,
        models=tuple(args.model or ("fake",)),
        key=secret(args.key, environ),
        name=args.name,
        kept=args.keep,
        tls=tls(args.tls_cert, args.tls_key),
        refuse=refuse,
        script=script,
    )


def secret(variable: str | None, environ: Mapping[str, str]) -> str | None:
    if variable is not None and not environ.get(variable):
        raise Ending(f"the environment variable {variable} holds no key", MISUSED)
    return None if variable is None else environ[variable]


def tls(certificate: str | None, key: str | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(certificate, key)
    except OSError as error:
        raise Ending(f"the certificate {certificate} cannot be used: {error.strerror}", MISUSED) from error
    return context


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed."""
    if importlib.util.find_spec("uvloop") is None:
        return None
    new: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return new
