"""The section `[infernet]`, and where the node is served."""

from __future__ import annotations

from pathlib import Path

import pytest

from openai_proxy.configure import ConfigError, read
from tests.conftest import servers
from tests.dialects.infernet.calls import CONTAINER, call, said
from tests.dialects.infernet.chain import ABLE, COORDINATOR, OWNER, SIGNER
from tests.dialects.infernet.conftest import ECHO

WHOLE = f'[infernet]\nchain_id = 1\ncoordinator = "{COORDINATOR}"\n'


def problems(folder: Path, text: str) -> str:
    file = folder / "file.toml"
    file.write_text(f"{ECHO}\n{text}")
    try:
        read(file, {}, {})
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ('[infernet]\nnetworks = ["here"]', "here"),
        ('[infernet]\nstatus_networks = ["10.0.0.1/8"]', "10.0.0.1/8"),
        ('[infernet.containers.a]\nallowed_ips = ["x"]', '"x" is not an address'),
        ('[infernet.containers."a,b"]\nexternal = true', "cannot name a container"),
        ("[infernet.containers.a]\nexternal = false", "no container is external"),
        ('[infernet.containers.a]\nkinds = ["paint"]', "kinds"),
        (
            f'[infernet]\nchain_id = 1\nrpc_url = "http://127.0.0.1"\nsigners = {{ "{OWNER}" = "{SIGNER}" }}',
            "coordinator",
        ),
        (WHOLE, "infernet.signers or infernet.rpc_url"),
        (WHOLE + 'rpc_url = "ftp://a"', "ftp://a"),
        (WHOLE + f'signers = {{ "{OWNER}" = "0x12" }}', "signers"),
    ],
)
def test_wrong_settings(tmp_path: Path, text: str, word: str) -> None:
    assert word in problems(tmp_path, text)


@pytest.mark.skipif(not ABLE, reason="needs eth-account")
def test_right_settings(tmp_path: Path) -> None:
    assert problems(tmp_path, WHOLE + f'signers = {{ "{OWNER}" = "{SIGNER}" }}') == ""
    assert problems(tmp_path, '[infernet]\nnetworks = ["10.0.0.0/8", "::1"]') == ""


def test_a_place_of_its_own_and_none(tmp_path: Path) -> None:
    with servers(tmp_path) as start:
        below = start(f'{ECHO}\n[protocols]\ninfernet = "/node"')
        assert call(below, "GET", "/node/health") == (200, {"status": "healthy"})
        assert call(below, "GET", "/info")[0] == 404
        body = {"containers": [CONTAINER], "data": said("a")}
        status, answer = call(below, "POST", "/node/api/jobs", body)
        assert status == 200
        assert call(below, "GET", f"/node/api/jobs?id={answer['id']}")[1][0]["id"] == answer["id"]
        off = start(f"{ECHO}\n[protocols]\ninfernet = false")
        assert call(off, "GET", "/info")[0] == 404
        assert call(off, "GET", "/health")[0] == 200


def test_only_so_many_jobs_of_one_caller_wait(tmp_path: Path) -> None:
    slow = {"containers": [CONTAINER], "data": {"model": "slow", "prompt": "a"}}
    with servers(tmp_path) as start:
        server = start(f"{ECHO}\n[jobs]\nqueued = 2")
        assert [call(server, "POST", "/api/jobs", slow)[0] for _ in range(2)] == [200, 200]
        for path in ("/api/jobs", "/api/jobs/stream"):
            status, answer = call(server, "POST", path, slow)
            assert (status, answer.keys()) == (429, {"error", "params"})
        [answer] = call(server, "POST", "/api/jobs/batch", [slow])[1]
        assert answer["error"].startswith("Could not enqueue job: ")


@pytest.mark.skipif(not ABLE, reason="needs eth-account")
def test_bodies_of_many_brackets_do_not_end_the_process(tmp_path: Path) -> None:
    """A package that checks signatures lifts the limit of recursion, for the whole process."""
    node = f'{ECHO}\n{WHOLE}signers = {{ "{OWNER}" = "{SIGNER}" }}\n'
    with servers(tmp_path) as start:
        server = start(node, path="/health")
        assert call(server, "POST", "/api/jobs", b'{"a":' * 100_000)[0] == 500
        assert call(server, "GET", "/health")[0] == 200
