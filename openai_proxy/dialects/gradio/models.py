"""The models that answer chats, as clients list them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from openai_proxy.dialects import Edge
from openai_proxy.served import Served


def chatting(edge: Edge) -> Sequence[tuple[str, Served]]:
    """Their names, in the order in which a request may name one by its number."""
    return [(name, served) for name, served in edge.router.names if "chat" in served.known(name).kinds]


def described(name: str, served: Served) -> dict[str, Any]:
    """A model as clients list it."""
    model = served.known(name)
    constrained = not {"json_schema", "regex"}.isdisjoint(model.parameters)
    return {
        "base_model": name,
        "display_name": name,
        "max_seq_len": model.context,
        "inference_server_type": "openai-proxy",
        "llm": True,
        "rag": True,
        "image": "image" in model.modalities or served.config.vision is not None,
        "actually_image": False,
        "video": False,
        "json": "json_object" in model.parameters or constrained,
        "guided_vllm": constrained,
        "strict_json_schema": "json_schema" in model.parameters,
        "prompt_type": "unknown",
        "chat_template": "",
    }
