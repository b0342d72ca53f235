"""Tool calls and reasoning out of an answer, by vLLM's own parsers for the model's family."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from backends.choices.calls import call_id
from backends.choices.piece import Piece
from backends.choices.tools import function
from backends.events import ToolDelta
from backends.requests import Tool
from backends.vllm.loaded import Loaded
from backends.vllm.prompts import Rendered


class Reader:
    """Reads one choice. `special` tells whether special tokens have to show in the text.

    With `tools` calls are read too; `many` lets more than the first through.
    """

    def __init__(
        self, loaded: Loaded, rendered: Rendered, values: Mapping[str, Any], tools: Sequence[Tool], *, many: bool
    ) -> None:
        self._prompt = list(rendered["prompt_token_ids"])
        self._many = many
        self._request = _request(loaded, tools)
        self._parser = loaded.parser(
            loaded.tokenizer,
            self._request.tools,
            chat_template_kwargs=dict(values),
            model_config=loaded.client.model_config,
        )
        self._named: set[int] = set()
        for part in (self._parser.reasoning_parser, self._parser.tool_parser if tools else None):
            if part is not None:
                self._request = part.adjust_request(self._request)
        self.special = not self._request.skip_special_tokens

    def read(self, new: Any, *, finished: bool) -> Piece:
        """What an output of the engine brings."""
        message = self._parser.parse_delta(
            delta_text=new.text,
            delta_token_ids=list(new.token_ids),
            request=self._request,
            prompt_token_ids=self._prompt,
            finished=finished,
        )
        if message is None:
            return Piece()
        calls = (self._call(call) for call in message.tool_calls or ())
        return Piece(
            text=message.content or "",
            reasoning=message.reasoning or "",
            tools=tuple(call for call in calls if self._many or call.position == 0),
        )

    def _call(self, call: Any) -> ToolDelta:
        """A piece of a call. Its name comes once, with the first piece; the id is ours where the parser gives none."""
        given = call.function
        arguments = (given.arguments if given is not None else None) or ""
        if given is None or not given.name or call.index in self._named:
            return ToolDelta(call.index, arguments=arguments)
        self._named.add(call.index)
        return ToolDelta(call.index, call.id or call_id(), given.name, arguments)


def _request(loaded: Loaded, tools: Sequence[Tool]) -> Any:
    """The request as the parsers want to see it; they look at its tools, not at its messages."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": ""}], "tool_choice": "none"}
    if tools:
        body |= {"tools": [function(tool) for tool in tools], "tool_choice": "auto"}
    return loaded.library.ChatCompletionRequest.model_validate(body)
