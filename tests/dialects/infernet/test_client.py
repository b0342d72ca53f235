"""infernet-client, the real one: its API and its command."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import servers
from tests.dialects.infernet.calls import CONTAINER, STREAMING, said
from tests.dialects.infernet.chain import ABLE, CHAIN, COORDINATOR, KEY, OWNER, SIGNER, ZERO, chain_node
from tests.dialects.infernet.conftest import ECHO, Client
from tests.running import Running

pytestmark = pytest.mark.skipif(not ABLE, reason="needs eth-account")
SCRIPTS = Path(__file__).parent / "scripts"
API, COMMANDS = SCRIPTS / "api.py", SCRIPTS / "commands.py"
PIZZA = "how do I make pizza?"


@pytest.fixture(scope="module")
def chain() -> Iterator[str]:
    """A node of a chain."""
    with chain_node() as url:
        yield url


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A node that takes subscriptions."""
    signed = f'[infernet]\nchain_id = {CHAIN}\ncoordinator = "{COORDINATOR}"\nsigners = {{ "{OWNER}" = "{SIGNER}" }}\n'
    with servers(tmp_path_factory.mktemp("client")) as start:
        yield start(f"{ECHO}\n{signed}")


def test_the_api(client: Client, server: Running, chain: str) -> None:
    told = json.loads(client(str(API), server.url, chain, COORDINATOR, OWNER, KEY))
    assert told["health"] is True
    assert [each["id"] for each in told["info"]["containers"]] == [CONTAINER]
    first, one, two, chained, streamed = told["ids"]
    pizza = {"container": CONTAINER, "output": PIZZA}
    assert told["job"] == {"id": first, "status": "success", "result": pizza}
    assert told["batch"][1] == {"error": "Container not supported", "params": {"container": "classify-it-0.0.1"}}
    assert [each["id"] for each in told["results"]] == [two, one, first]
    assert isinstance(told["results"][0]["result"]["output"][0], float)
    [result] = told["chain"]
    assert result["intermediate_results"] == [pizza]
    assert result["result"] == {"container": "openai-inference", "output": PIZZA}
    assert told["refused"] == [405, "Container not supported", {"container": "classify-it-0.0.1"}]
    assert told["proof"] == [405, "Container does not generate proof", {"container": CONTAINER}]
    assert told["stream"] == [streamed, PIZZA]
    assert told["streamed"]["result"] == {"container": STREAMING, "output": {"output": PIZZA}}
    assert told["pending"] == ["recorded"]
    assert told["completed"] == told["all"] == [first, one, two, chained, streamed, "recorded"]
    assert told["none"] is None
    assert told["again"] == [405, "Nonce already used", {"nonce": 100}]


def test_the_command(client: Client, server: Running, chain: str, tmp_path: Path) -> None:
    assert client("-m", "infernet_client", "health", SERVER_URL=server.url) == "healthy\n"
    pizza, hello = json.dumps(said(PIZZA)), json.dumps(said("grüße 日本"))
    (tmp_path / "key").write_text(KEY)
    params = {"owner": OWNER, "active_at": int(time.time()), "period": 0, "frequency": 1, "redundancy": 1}
    more = {"lazy": False, "verifier": ZERO, "payment_amount": 0, "payment_token": ZERO, "wallet": ZERO}
    (tmp_path / "params").write_text(json.dumps({**params, "containers": [CONTAINER], **more}))
    sub = ["sub", "--params", str(tmp_path / "params"), "--key", str(tmp_path / "key"), "--rpc-url", chain]
    sub += ["--address", COORDINATOR, "--nonce", "7", "--expiry"]

    def run(*commands: tuple[list[str], str]) -> list[list[str]]:
        given = json.dumps([[[words[0], "--url", server.url, *words[1:]], text] for words, text in commands])
        told: list[list[str]] = json.loads(client(str(COMMANDS), text=given))
        return told

    info, synced, (id, _), stream, (taken, _), (_, refused) = run(
        (["info"], ""),
        (["job", "-c", CONTAINER, "--sync", "--retries", "10"], pizza),
        (["job", "-c", CONTAINER], pizza),
        (["stream", "-c", STREAMING], hello),
        ([*sub, str(int(time.time()) + 600)], pizza),
        ([*sub, "1713376164"], pizza),
    )
    assert json.loads(info[0])["containers"][0]["id"] == CONTAINER
    assert synced == [f"{PIZZA}\n", None]
    id = id.strip()
    head, text = stream[0].splitlines()
    assert text == "grüße 日本"
    assert taken == "Success: Subscription created.\n"
    assert "Signature expired" in refused
    results, ids, pending, completed = run(
        (["results", "--id", id, "--intermediate"], ""),
        (["ids"], ""),
        (["ids", "--status", "pending"], ""),
        (["ids", "--status", "completed"], ""),
    )
    assert [each["id"] for each in json.loads(results[0])] == [id]
    assert json.loads(ids[0])[-2:] == [id, head.removeprefix("Job ID: ")]
    assert json.loads(pending[0]) == []
    assert json.loads(completed[0]) == json.loads(ids[0])
