"""`POST /v1/chat/completions`."""

from __future__ import annotations

from openai_proxy.bodies.chat import chat_request
from openai_proxy.bodies.chat_body import ChatBody
from openai_proxy.dialects import Edge
from openai_proxy.dialects.openai.answers import chat_completed
from openai_proxy.dialects.openai.chat_frames import ChatFrames
from openai_proxy.dialects.openai.texts import Texts


def chats(edge: Edge) -> Texts[ChatBody]:
    """What answers chats."""
    return Texts(
        edge=edge,
        kind="chat",
        prefix="chatcmpl-",
        body=ChatBody,
        translate=chat_request,
        frames=ChatFrames,
        completed=chat_completed,
    )
