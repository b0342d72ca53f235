"""The README's examples of a backend and of a route run as they stand."""

from __future__ import annotations

import json
import os
import re
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import Serve

README = Path(__file__).parents[2] / "README.md"
BLOCK = re.compile(r"```\w+ title=(\S+)\n(.*?)```", re.DOTALL)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    """A folder with the README's titled blocks as files."""
    folder = tmp_path / "examples"
    folder.mkdir()
    for name, text in BLOCK.findall(README.read_text()):
        (folder / name).write_text(text)
    return folder


def test_the_backend_serves_chats(examples: Path, serve: Serve) -> None:
    server = serve((examples / "shout.toml").read_text(), PYTHONPATH=str(examples), OPENAI_PROXY_SERVER_GRACE="0")
    with server.client() as client:
        answer = client.chat.completions.create(model="shout", messages=[{"role": "user", "content": "be quiet"}])
    assert answer.choices[0].message.content == "BE! QUIET! "
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


def test_the_route_answers_and_is_described(examples: Path, serve: Serve) -> None:
    (examples / "sitecustomize.py").write_text(
        "from openai_proxy.dialects import DIALECTS\nDIALECTS['count'] = 'count:build'\n"
    )
    server = serve(PYTHONPATH=os.pathsep.join([str(examples), str(README.parent)]))
    body = json.dumps({"text": "one two three"}).encode()
    request = urllib.request.Request(f"{server.url}/count", body, {"content-type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer) == {"words": 3}
    with urllib.request.urlopen(f"{server.url}/openapi.json") as answer:
        assert "/count" in json.load(answer)["paths"]
