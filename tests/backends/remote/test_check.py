"""What `openai-proxy check`, `serve` and `doctor` say of remote models: what is missing, and no secret."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.running import ROOT, environment
from tests.upstream import certificate

SECRET = "sk-" + "0123456789abcdef"
HEAD = """[models.big]
backend = "remote"
upstreams = [
"""


def run(command: str, file: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "openai_proxy", command, "--config", str(file), *arguments],
        cwd=ROOT,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def written(folder: Path, *upstreams: str, options: str = "") -> Path:
    file = folder / "config.toml"
    file.write_text(HEAD + "".join(f"    {{ {each} }},\n" for each in upstreams) + f"]\noptions = {{ {options} }}\n")
    return file


@pytest.fixture
def without_aiohttp(tmp_path: Path) -> str:
    """A PYTHONPATH with which aiohttp cannot be found."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text("import sys\nsys.modules['aiohttp'] = None\n")
    return f"{folder}:{ROOT}"


def test_a_key_that_is_not_set_is_told_with_its_line(tmp_path: Path) -> None:
    file = written(tmp_path, 'url = "http://a"', 'url = "http://b", key_env = "BOX_KEY"')
    for command in ("check", "serve"):
        done = run(command, file)
        assert done.returncode == 2
        problem = f"{file}:5: model big: upstream b: key_env BOX_KEY is not set in the environment"
        assert problem in done.stdout + done.stderr
    assert run("check", file, BOX_KEY=SECRET).returncode == 0
    empty = run("check", file, BOX_KEY=" ")
    assert "key_env BOX_KEY is empty" in empty.stdout
    told = json.loads(run("check", file, "--json").stdout)
    assert [(each["line"], each["where"]) for each in told["problems"]] == [(5, str(file))]
    assert "key_env BOX_KEY is not set" in run("doctor", file).stdout


def test_files_that_cannot_be_read_are_told_all_at_once(tmp_path: Path) -> None:
    chain, _ = certificate(tmp_path)
    (tmp_path / "garbage").write_text("garbage")
    file = written(
        tmp_path,
        f'url = "http://a", key_file = "{tmp_path}/absent"',
        f'url = "https://b", ca_file = "{tmp_path}/garbage"',
        f'url = "https://c", cert_file = "{chain}", cert_key_file = "{tmp_path}/absent"',
        f'url = "https://d", ca_file = "{chain}", key_file = "{tmp_path}/garbage"',
    )
    done = run("check", file)
    assert done.returncode == 2
    first, second, third, count = done.stdout.splitlines()
    assert first.startswith(f"{file}:4: model big: upstream a: key_file {tmp_path}/absent cannot be read: No such file")
    assert second.startswith(f"{file}:5: model big: upstream b: ca_file {tmp_path}/garbage cannot be used")
    assert third.startswith(f"{file}:6: model big: upstream c: cert_file {chain} with cert_key_file")
    assert count == "3 problems"


def test_all_that_is_wrong_is_told_at_once_each_at_its_line(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        'url = "http://a", weight = "heavy", slots = 0',
        'url = "http://b/v1/chat/completions"',
        'url = "http://c"',
        'name = "big", wieght = 2',
        'url = "http://c/v1", proxy = "http://d"',
        options='strategy = "fastest", retries = -1',
    )
    lines = run("check", file).stdout.splitlines()
    assert lines == [
        f'{file}:4: model big: upstream 1: weight must be a number above 0 up to 1000, not "heavy"',
        f"{file}:4: model big: upstream 1: slots must be a whole number from 1, not 0",
        f"{file}:5: model big: upstream 2: url must be that of the server, not of one endpoint: "
        'leave out "/v1/chat/completions"',
        f"{file}:7: model big: upstream 4 (big): remote has no option 'wieght'; did you mean 'weight'?",
        f"{file}:7: model big: upstream 4 (big): url is missing",
        f'{file}:10: model big: strategy must be one of "least", "prefix", "session", "weighted", not "fastest"',
        f"{file}:10: model big: retries must be a whole number from 0 up to 10, not -1",
        "7 problems",
    ]


def test_tables_of_their_own_are_told_at_the_line_of_the_field(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(
        '[models.big]\nbackend = "remote"\n\n[[models.big.upstreams]]\nurl = "http://a"\n\n'
        '[[models.big.upstreams]]\nurl = "http://a/v1"\nmodel = "x"\nproxy = "http://d"\n\n'
        '[models.big.options]\nmodels = "*"\nprobe_every = 0\n'
    )
    told = json.loads(run("check", file, "--json").stdout)["problems"]
    assert [(each["line"], each["message"]) for each in told] == [
        (7, "model big: two upstreams are called 'a', 1 and 2; give each its own name"),
        (9, "model big: upstream a: model has no use beside the option models"),
        (10, 'model big: upstream a: proxy needs the option client = "aiohttp"'),
        (14, "model big: models are found by probes: probe_every must not be 0"),
    ]


@pytest.mark.parametrize(
    ("upstream", "says"),
    [
        (f'url = ["http://user:{SECRET}@a"]', "url must be text, not a list"),
        (f'url = "http://a", headers = "x-api-key: {SECRET}"', "headers must be a table of texts, not text"),
        (f'url = "http://a", key_env = ["{SECRET}"]', "key_env must be text that is not empty, not a list"),
        (f'url = "http://a", key_env = "{SECRET}"', "key_env must be the name of an environment variable"),
        (f'url = "http://user:{SECRET}@a"', "url must hold no user or password"),
        (f'url = "http://a", proxy = "http://user:{SECRET}@a"', "proxy must hold no user or password"),
        (f'url = "http://a", headers = {{ authorization = "Bearer {SECRET}" }}', "name a key with key_env or key_file"),
        (f'url = "http://a", headers = {{ x-api-key = "{SECRET}\\n" }}', "headers.x-api-key holds a character"),
        (f'url = "http://a", key_env = "KEY", headers = {{ x-api-key = "{SECRET}" }}', '"x-api-key": "***"'),
    ],
)
def test_no_secret_is_printed(upstream: str, says: str, tmp_path: Path) -> None:
    file = written(tmp_path, upstream)
    for arguments in ((), ("--json",)):
        done = run("check", file, *arguments, KEY=SECRET)
        assert SECRET not in done.stdout + done.stderr
        assert says in done.stdout or (says.startswith('"') and not arguments)


def test_the_client_aiohttp_has_to_be_there(tmp_path: Path, without_aiohttp: str) -> None:
    file = written(tmp_path, 'url = "http://a"', options='client = "aiohttp"')
    assert run("check", file).returncode == 0
    for command in ("check", "serve"):
        done = run(command, file, PYTHONPATH=without_aiohttp)
        assert done.returncode == 2
        said = done.stdout + done.stderr
        assert f'{file}:6: model big: client = "aiohttp" needs the package aiohttp, which is not installed' in said
        assert "openai-proxy[remote]" in said
    own = written(tmp_path, 'url = "http://a"')
    assert run("check", own, PYTHONPATH=without_aiohttp).returncode == 0


def test_the_doctor_says_what_the_package_is_for(tmp_path: Path, without_aiohttp: str) -> None:
    file = written(tmp_path, 'url = "http://a"')

    def found(**env: str) -> Any:
        told = json.loads(run("doctor", file, "--json", **env).stdout)
        return {each["subject"]: each for each in told["findings"]}["remote"]

    assert (found()["state"], found()["fix"]) == ("ok", None)
    absent = found(PYTHONPATH=without_aiohttp)
    assert absent["state"] == "note"
    assert absent["fix"].endswith("pip install 'openai-proxy[remote]'")


def test_kinds_have_to_be_some(tmp_path: Path) -> None:
    each = "kinds must be a list, at least one, each one of"
    for kinds, says in (('["chats"]', 'not a list with "chats" in it'), ("[]", "not an empty list")):
        done = run("check", written(tmp_path, 'url = "http://a"', options=f"kinds = {kinds}"))
        assert done.returncode == 2
        assert each in done.stdout
        assert says in done.stdout
