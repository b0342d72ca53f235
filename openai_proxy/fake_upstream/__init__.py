"""A scripted OpenAI-compatible server, good or bad, without a model: for load tests, and to test what stands before it.

It has its own small HTTP/1.1 over asyncio, so that it can misbehave at the level of bytes, and imports nothing of the
server. An answer is a series of steps (`steps.py`), which one function plays on a connection (`connection.py`).
"""

from openai_proxy.fake_upstream.script import Script
from openai_proxy.fake_upstream.upstream import FakeUpstream, Options

__all__ = ["FakeUpstream", "Options", "Script"]
