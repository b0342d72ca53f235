# mypy: ignore-errors
"""Runs commands of the client's command line in one process, as importing it takes a second.

Takes a list of [words, standard input] as JSON, and gives a list of [output, error or null].
"""

import json
import sys

from click.testing import CliRunner
from infernet_client.cli import cli

done = [CliRunner().invoke(cli, words, input=text) for words, text in json.load(sys.stdin)]
print(json.dumps([[each.output, each.exception and str(each.exception)] for each in done]))
