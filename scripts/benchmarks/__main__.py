"""Benchmarks of this server, on Linux."""

from __future__ import annotations

import argparse
import importlib
import sys

BENCHMARKS = {
    "relay": "our server in front of an upstream, beside nginx and other gateways: CPU, latency, memory",
    "edge": "our server with the echo backend against bare Starlette: CPU, latency, memory",
    "soak": "20 000 mixed requests, with --remote to a remote model: memory, descriptors and tasks over time",
    "beside": "a vLLM model behind our server and behind vLLM's own, in turns: CPU, tokens a second, first token",
    "workers": "two workers against one process, both with the echo backend: CPU, memory",
    "jobs": "jobs in SQLite: a waited one against a direct call, accepting, polling, over HTTP too, other streams",
    "audio": "speech and transcription over HTTP beside their libraries: first sound, real-time factor, memory",
    "looking": "pictures that come in: another stream's delay while they are decoded, words that OCR reads",
    "images": "pictures that are drawn: time, memory, another stream's delay; and what a picture in a chat costs",
    "documents": "30 questions over five documents: how often the right passage is among the first three",
    "engine": "the embedded models over HTTP: tokens a second, time to the first token",
}
# A module called as our package would hide it.
MODULES = {"audio": "sounding"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    subparsers = parser.add_subparsers(dest="name", required=True)
    for name, text in BENCHMARKS.items():
        importlib.import_module(MODULES.get(name, name)).add_arguments(
            subparsers.add_parser(name, help=text, description=text)
        )
    arguments = parser.parse_args()
    run = importlib.import_module(MODULES.get(arguments.name, arguments.name)).main
    return int(run(arguments))


if __name__ == "__main__":
    sys.exit(main())
