"""`POST /v1/completions`, the legacy way to continue a text.

Source: https://platform.openai.com/docs/api-reference/completions/create, as the `openai` Python SDK types it.
"""

from __future__ import annotations

from openai_proxy.bodies.completion import CompletionBody, completion_request
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.answers import completion_completed
from openai_proxy.dialects.openai.completion_frames import CompletionFrames
from openai_proxy.dialects.openai.texts import Texts


def completions(edge: Edge) -> Texts[CompletionBody]:
    """What continues texts."""
    return Texts(
        edge=edge,
        kind="completion",
        prefix="cmpl-",
        body=CompletionBody,
        translate=completion_request,
        frames=CompletionFrames,
        completed=completion_completed,
    )
