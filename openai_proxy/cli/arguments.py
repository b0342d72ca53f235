"""Arguments that several commands take."""

from __future__ import annotations

import argparse
import pathlib


def add_config(parser: argparse.ArgumentParser) -> None:
    """`--config FILE`."""
    parser.add_argument(
        "--config",
        type=pathlib.Path,
        metavar="FILE",
        help="configuration file (default: $OPENAI_PROXY_CONFIG, or none)",
    )
