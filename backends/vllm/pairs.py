"""A query and a document as the one prompt that a cross-encoder reads, by vLLM's own rules for each family."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from backends.vllm import compat


class Pairs:
    """Makes prompts for one engine. `least` is how many tokens a pair has at least. Raises Unfit."""

    def __init__(self, client: Any, template: str | None) -> None:
        self._library = library = compat.pairs()
        self._renderer = client.renderer
        self._template = template
        self._processor = library.CrossEncoder(
            vllm_config=client.vllm_config,
            renderer=client.renderer,
            chat_template_config=library.ChatTemplateConfig(chat_template=template),
        )
        self._made = library.make_async(self._make, executor=client.renderer._executor)
        self.least = special_tokens(client.renderer.tokenizer, pair=True) + 2

    async def prompt(
        self, query: str, document: str, keep: int | None
    ) -> tuple[Mapping[str, Any], dict[str, Any] | None]:
        """The prompt, cut to `keep` tokens if that is a number, and what the pooler has to be told beside it."""
        made: tuple[Mapping[str, Any], dict[str, Any] | None] = await self._made(query, document, keep)
        return made

    def _make(self, query: str, document: str, keep: int | None) -> tuple[Mapping[str, Any], dict[str, Any] | None]:
        """Takes its time, and the tokenizer: one at a time, in the renderer's own thread."""
        options = {"truncation": keep is not None, "max_length": keep, "add_special_tokens": True}
        _, made = self._processor.get_score_prompt(query, document, options, self._template)
        types = made.pop("token_type_ids", None)
        told = {"compressed_token_type_ids": self._library.compress_token_type_ids(types)} if types else None
        return self._renderer.process_for_engine(made, time.time()), told


def special_tokens(tokenizer: Any, *, pair: bool = False) -> int:
    """How many tokens the tokenizer adds to a text, or to two; not every tokenizer tells."""
    count = getattr(tokenizer, "num_special_tokens_to_add", None)
    return int(count(pair=pair)) if count is not None else 0
