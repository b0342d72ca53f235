"""Who signed a delegated subscription: EIP-712 typed data, recovered with eth-account. The only place that knows it.

Sources: https://eips.ethereum.org/EIPS/eip-712, infernet-sdk's contract `EIP712Coordinator`, infernet-client 1.0.0.
Importing eth-account takes half a second, so that all here is called off the event loop.
"""

from __future__ import annotations

import itertools
import json
import sys
import urllib.request
from collections.abc import Iterable, Mapping
from typing import Any

from openai_proxy.dialects.infernet.subscription_bodies import DelegatedRequest, OldSubscription, Subscription

SECONDS = 5.0
# A node of a chain answers with a short line.
LONGEST_ANSWER = 65_536
# How many containers follow one another at most in a subscription, whose order is known by its hash alone.
LONGEST_CHAIN = 3
# The order of secp256k1. Of s and ORDER - s, which sign the same, only the lower one is a signature (EIP-2).
ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
DOMAIN = (("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address"))
SUBSCRIPTION = (
    ("owner", "address"),
    ("activeAt", "uint32"),
    ("period", "uint32"),
    ("frequency", "uint32"),
    ("redundancy", "uint16"),
    ("containerId", "bytes32"),
    ("lazy", "bool"),
    ("verifier", "address"),
    ("paymentAmount", "uint256"),
    ("paymentToken", "address"),
    ("wallet", "address"),
)
OLD_SUBSCRIPTION = (
    *SUBSCRIPTION[:5],
    ("maxGasPrice", "uint48"),
    ("maxGasLimit", "uint32"),
    ("containerId", "string"),
    ("inputs", "bytes"),
)
DELEGATED = (("nonce", "uint32"), ("expiry", "uint32"), ("sub", "Subscription"))


def prepare() -> None:
    """Import what this needs, if may be before requests come.

    One of its packages, py_ecc, lifts Python's limit of recursion to 100 000: bodies of many brackets would then
    overflow the stack and end the process.
    """
    limit = sys.getrecursionlimit()
    try:
        import eth_account.messages  # noqa: F401
    finally:
        sys.setrecursionlimit(limit)


def recovered(request: DelegatedRequest, chain_id: int, coordinator: str) -> str | None:
    """The address of who signed; None where the signature is none."""
    if request.signature.s > ORDER // 2:
        return None
    prepare()
    from eth_account import Account
    from eth_account.messages import encode_typed_data

    signature = request.signature
    message = encode_typed_data(full_message=typed_data(request, chain_id, coordinator))
    try:
        signer: str = Account.recover_message(message, vrs=(signature.v, signature.r, signature.s))
    except Exception:  # noqa: BLE001 - the library has many errors for what is no signature, of several packages
        return None
    return signer


def typed_data(request: DelegatedRequest, chain_id: int, coordinator: str) -> dict[str, Any]:
    """What was signed, as EIP-712 has it."""
    old = isinstance(request.subscription, OldSubscription)
    return {
        "types": {
            "EIP712Domain": _fields(DOMAIN),
            "DelegateSubscription": _fields(DELEGATED),
            "Subscription": _fields(OLD_SUBSCRIPTION if old else SUBSCRIPTION),
        },
        "primaryType": "DelegateSubscription",
        "domain": {
            "name": "InfernetCoordinator",
            "version": "1",
            "chainId": chain_id,
            "verifyingContract": coordinator,
        },
        "message": {
            "nonce": request.signature.nonce,
            "expiry": request.signature.expiry,
            "sub": _message(request.subscription),
        },
    }


def _fields(pairs: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"name": name, "type": kind} for name, kind in pairs]


def _message(subscription: Subscription | OldSubscription) -> dict[str, Any]:
    values: dict[str, Any] = {
        "owner": subscription.owner,
        "activeAt": subscription.active_at,
        "period": subscription.period,
        "frequency": subscription.frequency,
        "redundancy": subscription.redundancy,
    }
    if isinstance(subscription, OldSubscription):
        return {
            **values,
            "maxGasPrice": subscription.max_gas_price,
            "maxGasLimit": subscription.max_gas_limit,
            "containerId": subscription.container_id,
            "inputs": subscription.input_bytes,
        }
    return {
        **values,
        "containerId": bytes.fromhex(subscription.digest),
        "lazy": subscription.lazy,
        "verifier": subscription.verifier,
        "paymentAmount": subscription.payment_amount,
        "paymentToken": subscription.payment_token,
        "wallet": subscription.wallet,
    }


def hashes(names: Iterable[str]) -> Mapping[str, tuple[str, ...]]:
    """Every order of these containers by its hash in hex: keccak256(abi.encode(string)) of the names, with commas."""
    from eth_utils.crypto import keccak

    names = tuple(names)
    orders = itertools.chain.from_iterable(
        itertools.permutations(names, length) for length in range(1, min(len(names), LONGEST_CHAIN) + 1)
    )
    return {keccak(_encoded(",".join(order))).hex(): order for order in orders}


def _encoded(text: str) -> bytes:
    """One string as the ABI of contracts has it: where it begins, its length, itself in words of 32 bytes."""
    data = text.encode()
    return (32).to_bytes(32, "big") + len(data).to_bytes(32, "big") + data + bytes(-len(data) % 32)


def asked_signer(url: str, owner: str) -> str | None:
    """Who signs for an owner, as its contract tells a node of the chain. Raises OSError or ValueError."""
    from eth_utils.crypto import keccak

    call = {"to": owner, "data": "0x" + keccak(b"getSigner()")[:4].hex()}
    question = {"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [call, "latest"]}
    headers = {"content-type": "application/json"}
    request = urllib.request.Request(url, json.dumps(question).encode(), headers)  # noqa: S310 - the operator's own
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
        told = json.loads(answer.read(LONGEST_ANSWER))
    result = told.get("result") if isinstance(told, dict) else None
    if not isinstance(result, str) or len(result) != 66:
        return None
    return "0x" + result[-40:]
