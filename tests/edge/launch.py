"""Run the server of one configuration file, without the command line around it: `python -m tests.edge.launch FILE`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from openai_proxy import configure, process
from openai_proxy.config import Config
from openai_proxy.keys import Keys
from openai_proxy.server import run
from openai_proxy.workers import crew


def read() -> tuple[Config, Keys]:
    config = configure.read(Path(sys.argv[1]), os.environ, {})
    return config, Keys.read(config.auth, os.environ)


if __name__ == "__main__":
    process.WATCH_EVERY = crew.FIRST_PAUSE = 0.2  # tests need not wait as long as people can
    CONFIG, KEYS = read()
    sys.exit(
        run(
            CONFIG,
            KEYS,
            read,
            watch="--watch" in sys.argv,
            started=lambda _, sockets: print("port", sockets[0].getsockname()[1], flush=True),
        )
    )
