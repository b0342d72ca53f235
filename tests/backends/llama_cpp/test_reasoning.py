"""Reasoning is split off where the template marks it. No small model thinks: a grammar makes this one do so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI

from tests.conftest import servers

pytestmark = pytest.mark.engine

CONFIG = """
[models.thinker]
backend = "llama_cpp"
slots = 1
[models.thinker.options]
weights = "smollm2-135m-instruct"
chat_template = '''{% for message in messages %}<|im_start|>{{ message['role'] }}
{% if message['reasoning_content'] %}<think>
{{ message['reasoning_content'] }}
</think>

{% endif %}{{ message['content'] }}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think>

</think>

{% endif %}{% endif %}'''
"""
THOUGHT = r'root ::= "<think>\nI ponder.\n</think>\n\nHello there"'
ASKED: dict[str, Any] = {"model": "thinker", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenAI]:
    with servers(tmp_path_factory.mktemp("thinker")) as serve, serve(CONFIG, timeout=300).client() as opened:
        yield opened


def test_a_whole_answer(client: OpenAI) -> None:
    answer = client.chat.completions.create(**ASKED, extra_body={"grammar": THOUGHT})
    message = answer.choices[0].message
    assert message.content == "Hello there"
    assert message.model_extra is not None
    assert message.model_extra["reasoning_content"] == message.model_extra["reasoning"] == "I ponder.\n"
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert 0 < (answer.usage.completion_tokens_details.reasoning_tokens or 0) < answer.usage.completion_tokens


def test_a_stream_says_the_same(client: OpenAI) -> None:
    thought, said = "", ""
    for chunk in client.chat.completions.create(**ASKED, stream=True, extra_body={"grammar": THOUGHT}):
        delta = chunk.choices[0].delta
        thought += (delta.model_extra or {}).get("reasoning_content", "")
        said += delta.content or ""
    assert (thought, said) == ("I ponder.\n", "Hello there")


def test_effort_reaches_the_template(client: OpenAI) -> None:
    """The template writes the empty thought into the prompt when thinking is switched off."""
    thinking = client.chat.completions.create(**ASKED, max_tokens=1)
    silent = client.chat.completions.create(**ASKED, max_tokens=1, reasoning_effort="none")
    assert thinking.usage is not None
    assert silent.usage is not None
    assert silent.usage.prompt_tokens > thinking.usage.prompt_tokens
