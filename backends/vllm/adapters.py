"""LoRA adapters: small weights beside a model's own, which a request picks by name.

Source: https://docs.vllm.ai/en/latest/features/lora.html.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backends import Setup
from backends.errors import BackendError
from backends.vllm.compat import Library

# As many as are used in one step; more than that take turns.
AT_ONCE = 8


class AdapterFailed(BackendError):
    """An adapter cannot be loaded."""


def fields(setup: Setup) -> Mapping[str, Any]:
    """The engine's fields, with what adapters need of them where nothing else is set."""
    if not setup.adapters:
        return setup.engine
    return {"enable_lora": True, "max_loras": min(len(setup.adapters), AT_ONCE), **setup.engine}


async def added(client: Any, library: Library, adapters: Mapping[str, str]) -> Mapping[str, Any]:
    """Have the engine load each adapter (name -> folder); its LoRARequest by name. Raises AdapterFailed."""
    requests: dict[str, Any] = {}
    for number, (name, folder) in enumerate(adapters.items(), start=1):
        requests[name] = library.LoRARequest(lora_name=name, lora_int_id=number, lora_path=folder)
        try:
            await client.add_lora(requests[name])
        except Exception as error:
            said = " ".join(str(error).split())[:300] or type(error).__name__
            raise AdapterFailed(f"The adapter {name} cannot be loaded from {folder}: {said}") from error
    return requests
