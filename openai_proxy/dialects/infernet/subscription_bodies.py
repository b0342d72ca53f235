"""A delegated subscription as clients send it: work at intervals, signed for a contract of theirs."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

import msgspec
from msgspec import Meta, Struct

Uint16: TypeAlias = Annotated[int, Meta(ge=0, lt=2**16)]
Uint32: TypeAlias = Annotated[int, Meta(ge=0, lt=2**32)]
Uint48: TypeAlias = Annotated[int, Meta(ge=0, lt=2**48)]
# A $ would let a line feed stand after it.
END = r"\Z"
Address: TypeAlias = Annotated[str, Meta(pattern="^0x[0-9a-fA-F]{40}" + END)]
HEX = "^(0x)?([0-9a-fA-F]{2})*" + END


class Signature(Struct):
    """`nonce` counts what an owner's signer signs; it stands until `expiry`, Unix seconds. r and s have 256 bits."""

    nonce: Uint32
    expiry: Uint32
    v: Annotated[int, Meta(ge=0, le=255)]
    r: int
    s: int

    def __post_init__(self) -> None:
        check_uint256(self.r, "r")
        check_uint256(self.s, "s")


class Interval(Struct, kw_only=True):
    """When there is work: from `active_at` on every `period` seconds, `frequency` times; for a contract, `owner`."""

    owner: Address
    active_at: Uint32
    period: Uint32
    frequency: Uint32
    redundancy: Uint16


class Subscription(Interval, kw_only=True):
    """`containers` is a hash of their names. What is paid, and to whom, is the chain's and not looked at here."""

    containers: Annotated[str, Meta(pattern="^(0x)?[0-9a-fA-F]{64}" + END)]
    lazy: bool
    verifier: Address
    payment_amount: int
    payment_token: Address
    wallet: Address

    def __post_init__(self) -> None:
        check_uint256(self.payment_amount, "payment_amount")

    @property
    def digest(self) -> str:
        """The hash in hex."""
        return self.containers.removeprefix("0x").lower()


class OldSubscription(Interval, kw_only=True):
    """As clients before 1.0 sent it."""

    container_id: str
    inputs: Annotated[str, Meta(pattern=HEX)] = ""
    max_gas_price: Uint48
    max_gas_limit: Uint32

    @property
    def input_bytes(self) -> bytes:
        """What the contract gives."""
        return bytes.fromhex(self.inputs.removeprefix("0x"))


class DelegatedRequest(Struct):
    """`data` is what the first container gets at each interval."""

    signature: Signature
    subscription: Subscription | OldSubscription
    data: dict[str, Any]
    requires_proof: bool | None = False


class _Outer(Struct):
    signature: Signature
    subscription: dict[str, Any]
    data: dict[str, Any]
    requires_proof: bool | None = False


def delegated_request(value: object) -> DelegatedRequest:
    """Raises ValueError."""
    outer = msgspec.convert(value, _Outer)
    subscription: Subscription | OldSubscription
    if "container_id" in outer.subscription:
        subscription = msgspec.convert(outer.subscription, OldSubscription)
    else:
        subscription = msgspec.convert(outer.subscription, Subscription)
    return DelegatedRequest(outer.signature, subscription, outer.data, outer.requires_proof)


def check_uint256(value: int, name: str) -> None:
    """Raises ValueError."""
    if not 0 <= value < 2**256:
        raise ValueError(f"{name} has more than 256 bits")
