"""Signed subscriptions, and a node of a chain that knows two things."""

from __future__ import annotations

import importlib.util
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from openai_proxy.dialects.infernet.signatures import prepare

# Whether signatures can be checked here.
ABLE = importlib.util.find_spec("eth_account") is not None
COORDINATOR = "0x2E983A1Ba5e8b38AAAeC4B440B9dDcFBf72E15d1"
OWNER = "0x00Bd138aBD70e2F00903268F3Db08f2D25677C2B"
OTHER_OWNER = "0x00000000000000000000000000000000000000Aa"
KEY = "0x" + "11" * 32
SIGNER = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
ZERO = "0x" + "0" * 40
CHAIN = 31337
GET_SIGNER = "0x7ac3c02f"


class Answers(BaseHTTPRequestHandler):
    """eth_chainId, and getSigner() of every contract."""

    def do_POST(self) -> None:
        question = json.loads(self.rfile.read(int(self.headers["content-length"])))
        result = hex(CHAIN) if question["method"] == "eth_chainId" else "0x" + "0" * 24 + SIGNER[2:].lower()
        if question["method"] == "eth_call":
            assert question["params"][0]["data"] == GET_SIGNER
        body = json.dumps({"jsonrpc": "2.0", "id": question["id"], "result": result}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def chain_node() -> Iterator[str]:
    """Its address."""
    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def subscription(containers: list[str], **fields: Any) -> dict[str, Any]:
    """One interval that is now, as clients send it."""
    from eth_abi.abi import encode
    from eth_utils.crypto import keccak

    return {
        "owner": OWNER,
        "active_at": int(time.time()),
        "period": 0,
        "frequency": 1,
        "redundancy": 1,
        "containers": "0x" + keccak(encode(["string"], [",".join(containers)])).hex(),
        "lazy": False,
        "verifier": ZERO,
        "payment_amount": 2**255,
        "payment_token": ZERO,
        "wallet": ZERO,
        **fields,
    }


def old_subscription(container: str, **fields: Any) -> dict[str, Any]:
    """The same as clients before 1.0 sent it."""
    return {
        "owner": OWNER,
        "active_at": int(time.time()),
        "period": 0,
        "frequency": 1,
        "redundancy": 1,
        "max_gas_price": 10**12,
        "max_gas_limit": 3_000_000,
        "container_id": container,
        "inputs": "0xabcd",
        **fields,
    }


NEW = "owner:address activeAt:uint32 period:uint32 frequency:uint32 redundancy:uint16 containerId:bytes32 lazy:bool " \
    "verifier:address paymentAmount:uint256 paymentToken:address wallet:address"  # fmt: skip
OLD = "owner:address activeAt:uint32 period:uint32 frequency:uint32 redundancy:uint16 maxGasPrice:uint48 " \
    "maxGasLimit:uint32 containerId:string inputs:bytes"  # fmt: skip


def signed(sub: dict[str, Any], nonce: int, key: str = KEY, expiry: int | None = None, **data: Any) -> dict[str, Any]:
    """A whole request, signed as infernet-client signs."""
    prepare()
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    expiry = int(time.time()) + 600 if expiry is None else expiry
    old = "container_id" in sub
    names = [each.split(":") for each in (OLD if old else NEW).split()]
    values = [bytes.fromhex(v[2:]) if n in ("containers", "inputs") else v for n, v in sub.items()]
    domain = {"name": "InfernetCoordinator", "version": "1", "chainId": CHAIN, "verifyingContract": COORDINATOR}
    kinds = {
        "EIP712Domain": [
            {"name": "name", "type": "string"},
            {"name": "version", "type": "string"},
            {"name": "chainId", "type": "uint256"},
            {"name": "verifyingContract", "type": "address"},
        ],
        "DelegateSubscription": [
            {"name": "nonce", "type": "uint32"},
            {"name": "expiry", "type": "uint32"},
            {"name": "sub", "type": "Subscription"},
        ],
        "Subscription": [{"name": name, "type": kind} for name, kind in names],
    }
    inner = {name: value for (name, _), value in zip(names, values, strict=True)}
    message = {"nonce": nonce, "expiry": expiry, "sub": inner}
    typed = {"types": kinds, "primaryType": "DelegateSubscription", "domain": domain, "message": message}
    made = Account.sign_message(encode_typed_data(full_message=typed), key)
    signature = {"nonce": nonce, "expiry": expiry, "v": made.v, "r": int(made.r), "s": int(made.s)}
    return {"signature": signature, "subscription": sub, "data": data}
