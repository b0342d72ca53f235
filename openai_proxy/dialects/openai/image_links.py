"""Pictures in another server's answer, put at addresses of this one."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pybase64

import vision
from openai_proxy.dialects.openai.image_answers import Address
from openai_proxy.image_files import ENDINGS


async def relinked(body: bytes, address: Address) -> bytes:
    """The same answer with addresses for base64. What is no picture that browsers may be shown stays as it is."""
    told: dict[str, Any] = await asyncio.to_thread(msgspec.json.decode, body)
    items: list[Any] = told["data"]
    found = await asyncio.gather(*(asyncio.to_thread(_picture, item) for item in items))
    told["data"] = [
        item if picture is None else _without_base64(item) | {"url": address(*picture)}
        for item, picture in zip(items, found, strict=True)
    ]
    return await asyncio.to_thread(msgspec.json.encode, told)


def _picture(item: Any) -> tuple[bytes, str] | None:
    """What the item shows, and its media type."""
    text = item.get("b64_json") if isinstance(item, dict) else None
    if not isinstance(text, str):
        return None
    try:
        data = pybase64.b64decode(text, validate=True)
        kind = vision.inspect(data, vision.Limits()).media_type
    except ValueError:  # what cannot be read as a picture is one too
        return None
    return (data, kind) if kind in ENDINGS else None


def _without_base64(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "b64_json"}
