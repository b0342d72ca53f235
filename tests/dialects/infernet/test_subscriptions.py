"""Delegated subscriptions: off, and signed ones that are kept and worked on at their intervals."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from openai_proxy.dialects.infernet import signatures
from tests.conftest import servers
from tests.dialects.infernet.calls import CONTAINER, STREAMING, call, said
from tests.dialects.infernet.chain import (
    ABLE,
    CHAIN,
    COORDINATOR,
    KEY,
    OTHER_OWNER,
    OWNER,
    SIGNER,
    chain_node,
    old_subscription,
    signed,
    subscription,
)
from tests.dialects.infernet.conftest import ECHO
from tests.running import Running

pytestmark = pytest.mark.skipif(not ABLE, reason="needs eth-account")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signed")


def settings(folder: Path, rpc_url: str) -> str:
    return f"""{ECHO}
[infernet]
chain_id = {CHAIN}
coordinator = "{COORDINATOR}"
signers = {{ "{OWNER.lower()}" = "{SIGNER}" }}
rpc_url = "{rpc_url}"
deliveries = "{folder}/out.jsonl"
"""


@pytest.fixture(scope="module")
def trusting(folder: Path) -> Iterator[Running]:
    """A server that takes subscriptions."""
    with chain_node() as rpc_url, servers(folder) as start:
        yield start(settings(folder, rpc_url))


def told(server: Running, body: object) -> tuple[int, Any]:
    return call(server, "POST", "/api/jobs", body)


def delivered(folder: Path, nonce: int, many: int = 1) -> list[dict[str, Any]]:
    """What came of a subscription, as soon as there is so much."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        lines = (folder / "out.jsonl").read_text().splitlines() if (folder / "out.jsonl").exists() else []
        found = [each for each in map(json.loads, lines) if each["nonce"] == nonce]
        if len(found) >= many:
            return found
        time.sleep(0.05)
    raise AssertionError("nothing was delivered")


def test_without_a_chain_there_are_none(node: Running) -> None:
    body = signed(subscription([CONTAINER]), 1)
    status, answer = told(node, body)
    assert (status, answer["error"]) == (405, "Chain not enabled")
    assert answer["params"]["delegated_subscription"] == body
    assert call(node, "POST", "/api/jobs/batch", [body]) == (200, [answer])
    # Only as far as an error may be long.
    long = {**body, "data": {"a": "b" * 3000}}
    assert call(node, "POST", "/api/jobs", long) == (405, {"error": "Chain not enabled", "params": {}})


def test_one_that_is_for_once(trusting: Running, folder: Path) -> None:
    before = call(trusting, "GET", "/api/jobs")[1]
    assert call(trusting, "GET", "/info")[1]["chain"] == {"enabled": True, "address": ""}
    assert told(trusting, signed(subscription([CONTAINER]), 10, **said("a b"))) == (200, {})
    [delivery] = delivered(folder, 10)
    assert delivery.pop("time") <= time.time()
    assert delivery == {
        "owner": OWNER.lower(),
        "nonce": 10,
        "interval": 0,
        "container": CONTAINER,
        "output": "a b",
        "error": None,
    }
    assert call(trusting, "GET", "/api/jobs")[1] == before


def test_intervals_and_a_chain_of_containers(trusting: Running, folder: Path) -> None:
    began = int(time.time())
    sub = subscription([STREAMING, CONTAINER], period=1, frequency=3, active_at=began)
    assert told(trusting, signed(sub, 11, **said("c"))) == (200, {})
    assert call(trusting, "GET", "/info")[1]["pending"]["onchain"] == 1
    found = delivered(folder, 11, 2)
    assert [each["output"] for each in found] == ["c"] * len(found)
    intervals = [each["interval"] for each in found]
    assert sorted(set(intervals)) == intervals
    assert all(each["time"] >= began + each["interval"] for each in found)
    until = time.monotonic() + 10
    while call(trusting, "GET", "/info")[1]["pending"]["onchain"] and time.monotonic() < until:
        time.sleep(0.1)
    assert call(trusting, "GET", "/info")[1]["pending"]["onchain"] == 0


def test_the_older_shape_and_an_owner_whose_contract_is_asked(trusting: Running, folder: Path) -> None:
    assert told(trusting, signed(old_subscription(CONTAINER), 12, **said("d"))) == (200, {})
    assert delivered(folder, 12)[0]["output"] == "d"
    assert told(trusting, signed(subscription([CONTAINER], owner=OTHER_OWNER), 13, **said("e"))) == (200, {})
    assert delivered(folder, 13)[0]["owner"] == OTHER_OWNER.lower()


def test_a_failure_is_delivered_too(trusting: Running, folder: Path) -> None:
    assert told(trusting, signed(subscription([CONTAINER]), 14, model="none")) == (200, {})
    [delivery] = delivered(folder, 14)
    assert delivery["output"] is None
    assert "none" in delivery["error"]


def test_those_that_are_refused(trusting: Running) -> None:
    good = signed(subscription([CONTAINER], active_at=2**31), 20)
    assert told(trusting, good) == (200, {})
    assert told(trusting, good) == (405, {"error": "Nonce already used", "params": {"nonce": 20}})
    late = signed(subscription([CONTAINER]), 21, expiry=1713376164)
    assert told(trusting, late) == (405, {"error": "Signature expired", "params": {"expiry": 1713376164}})
    unknown = subscription(["other"])
    expected: dict[str, Any] = {"error": "Container not supported", "params": {"container": unknown["containers"]}}
    assert told(trusting, signed(unknown, 22)) == (405, expected)
    status, answer = told(trusting, signed(subscription([CONTAINER]), 23, key="0x" + "22" * 32))
    assert (status, answer["error"]) == (405, "Subscription signer mismatch")
    assert answer["params"]["delegated"] == SIGNER
    changed = signed(subscription([CONTAINER]), 24)
    changed["subscription"]["frequency"] = 1000
    assert told(trusting, changed)[1]["error"] == "Subscription signer mismatch"
    empty = signed(subscription([CONTAINER]), 25)
    empty["signature"].update(r=0, s=0)
    assert told(trusting, empty)[1]["params"]["recovered"] is None
    twin = signed(subscription([CONTAINER]), 26)
    twin["signature"].update(s=signatures.ORDER - twin["signature"]["s"], v=55 - twin["signature"]["v"])
    assert told(trusting, twin)[1]["params"]["recovered"] is None
    assert told(trusting, {**good, "requires_proof": True})[1]["error"] == "Container does not generate proof"


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("signature", "nonce", 2**32),
        ("signature", "r", 2**256),
        ("signature", "v", "28"),
        ("subscription", "owner", "0x12"),
        ("subscription", "owner", OWNER + "\n"),
        ("subscription", "verifier", OWNER + "\n"),
        ("subscription", "containers", "0x12"),
        ("subscription", "redundancy", 2**16),
        ("subscription", "payment_amount", -1),
    ],
)
def test_malformed_ones(trusting: Running, part: str, field: str, value: object) -> None:
    body = signed(subscription([CONTAINER]), 30)
    body[part][field] = value
    status, answer = told(trusting, body)
    assert (status, answer["error"][:23]) == (500, "Internal server error: ")


def test_they_outlive_the_server(tmp_path: Path) -> None:
    with servers(tmp_path) as start:
        config = settings(tmp_path, "http://127.0.0.1:9")
        first = start(config)
        assert told(first, signed(subscription([CONTAINER], active_at=int(time.time()) + 2), 40, **said("f"))) == (
            200,
            {},
        )
        first.stop()
        assert not (tmp_path / "out.jsonl").exists()
        second = start(config)
        assert delivered(tmp_path, 40)[0]["output"] == "f"
        assert told(second, signed(subscription([CONTAINER]), 40, KEY))[1]["error"] == "Nonce already used"
        owner = subscription([CONTAINER], owner=OTHER_OWNER)
        assert told(second, signed(owner, 41))[0] == 500  # the chain's node does not answer
